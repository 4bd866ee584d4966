"""Bodies of HTTP requests, bounded in size, in total and in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from components.common.bounds import LARGEST_REQUEST, LARGEST_REQUESTS

RECEIVE_SECONDS = 30.0
BUSY, RETRY = "the server is busy: try again later.", {"Retry-After": "1"}


class Bodies:
    """The bodies that are in memory at a time."""

    def __init__(self) -> None:
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request, kind: str) -> AsyncIterator[bytes]:
        """Yield the body of a request; it counts as held until the end of the block.

        Args:
            request: The request.
            kind: The content type that it must have; one that ends in "/" stands for all that begin so.

        Raises:
            HTTPException: 400 for another content type, 413 for a body that is too large, 408 for one that does not
                arrive in time, 503 where too much is held.
        """
        found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if found != kind and not (kind.endswith("/") and found.startswith(kind)):
            wanted = f"{kind}png or another picture's" if kind.endswith("/") else kind
            raise HTTPException(400, f"Content-Type must be {wanted} but is {found or 'missing'}.")
        _require_size(int(request.headers.get("content-length", 0)))
        body = bytearray()
        try:
            async with asyncio.timeout(RECEIVE_SECONDS):
                async for part in request.stream():
                    _require_size(len(body) + len(part))
                    body += part
                    self._held += len(part)
                    if self._held > LARGEST_REQUESTS:
                        raise HTTPException(503, BUSY, RETRY)
            yield bytes(body)
        except TimeoutError:
            raise HTTPException(408, f"the body must arrive within {RECEIVE_SECONDS:g} seconds.") from None
        except ClientDisconnect:
            raise HTTPException(400, "the body must arrive but the client has left.") from None
        finally:
            self._held -= len(body)


def _require_size(size: int) -> None:
    if size > LARGEST_REQUEST:
        raise HTTPException(413, f"the body must be at most {LARGEST_REQUEST:,} bytes but is larger.")
