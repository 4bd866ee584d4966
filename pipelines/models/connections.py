"""HTTP connections of `mnist-pipeline serve`, bounded in number and in time."""

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from components.common.errors import PipelineError

if TYPE_CHECKING:
    from starlette.applications import Starlette

MOST_CONNECTIONS = 256
# Until a client has sent the head of a request, also of its next one.
HEAD_SECONDS = 10.0
# From the head of a request until the client has taken the answer; its parts have bounds of their own.
REQUEST_SECONDS = 120.0
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
    b'Content-Type: application/json\r\nContent-Length: 31\r\n\r\n{"error": "the server is busy"}'
)


class BoundedProtocol(H11Protocol):
    """HTTP that cuts a client which keeps a connection without using it, and refuses one too many.

    Attributes:
        refused: Connections of this process that were one too many.
    """

    refused: ClassVar[int] = 0
    _deadline: asyncio.TimerHandle | None = None
    _awaits_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it where there are too many."""
        super().connection_made(transport)
        # asyncio does so where the listener names its protocol, which that of `socket.create_server` does not. Without,
        # the body of an answer waits 40 ms for the client to acknowledge the head.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > MOST_CONNECTIONS:
            BoundedProtocol.refused += 1
            transport.write(REFUSAL)
            transport.close()
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        super().data_received(data)
        if self._awaits_head != self._is_between_requests():
            self._set_deadline()

    def on_response_complete(self) -> None:
        """Wait for the client's next request."""
        super().on_response_complete()
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        super().connection_lost(exc)
        if self._deadline:
            self._deadline.cancel()

    def _is_between_requests(self) -> bool:
        return self.conn.their_state is h11.IDLE

    def _set_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._awaits_head = self._is_between_requests()
        # What is not taken by then is thrown away.
        seconds = HEAD_SECONDS if self._awaits_head else REQUEST_SECONDS
        self._deadline = self.loop.call_later(seconds, self.transport.abort)


def listen(served: "Starlette", host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        PipelineError: The address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise PipelineError(
            f"{host}:{port} must be free to listen at but is not ({error.strerror}): choose another --port."
        ) from None
    config = uvicorn.Config(
        served,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
    )
    # uvicorn ends in order on a signal, and then raises it again.
    with listener, suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])
