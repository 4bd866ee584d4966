"""MLflow's server application behind a list of what runs, models and their pages need.

Its application also has an assistant, a gateway to language models, jobs, webhooks and more, which act with the rights
of the server's user. The image of the MLflow server has this file too, without the rest of the project.
"""

import asyncio
import contextlib
import gc
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

APIS = ("api", "ajax-api")
CALLS = {
    "experiments": "create delete delete-experiment-tag get get-by-name restore search search-datasets "
    "set-experiment-tag update",
    "runs": "create delete delete-tag get log-batch log-inputs log-metric log-model log-parameter outputs restore "
    "search set-tag update",
    "metrics": "get-history get-history-bulk get-history-bulk-interval",
    "artifacts": "list",
    "model-versions": "create delete delete-tag get get-download-uri search set-tag transition-stage update",
    "registered-models": "alias create delete delete-tag get get-latest-versions rename search set-tag update",
}
ALLOWED = {
    *("/", "/health", "/version", "/graphql", "/get-artifact", "/model-versions/get-artifact"),
    *(
        f"/{api}/2.0/mlflow/{group}/{call}"
        for api in APIS
        for group in CALLS
        for call in CALLS[group].split()
    ),
    *(f"/{api}/2.0/mlflow/logged-models" for api in APIS),
    *(f"/{api}/2.0/mlflow-artifacts/artifacts" for api in APIS),
    *(f"/{api}/3.0/mlflow/server-info" for api in APIS),
}
ALLOWED_BELOW = (
    "/static-files/",
    *(f"/{api}/2.0/mlflow/logged-models/" for api in APIS),
    # Clients move large files in parts.
    *(f"/{api}/2.0/mlflow-artifacts/{kind}/" for api in APIS for kind in ("artifacts", "mpu", "presigned")),
)
# Most bytes of a body: of a file, and of a call. MLflow holds a body in memory, for a moment twice, and then a file in
# its temporary directory. What it makes of a call takes many times its bytes.
LARGEST_FILE, LARGEST_CALL = 512 << 20, 64 << 20
# Files that come at the same time have no more bytes together than the largest one. One of which nothing comes for so
# many seconds is given up, so that others do not wait for it.
STALLED = 60.0
FILES = tuple(f"/{api}/2.0/mlflow-artifacts/artifacts/" for api in APIS)
# Of this five minutes and of the last.
STORE_CLIENTS = 2
# MLflow 3.17.2 opens up to three sessions inside of the session of a call, each with a connection of its own. It has 15
# connections: five calls could hold all of them and wait for one more.
CALLS_AT_ONCE = 4
WITHOUT_DATABASE = (
    *("/health", "/version", "/static-files/"),
    *(f"/{api}/2.0/mlflow-artifacts/{kind}/" for api in APIS for kind in ("artifacts", "mpu", "presigned")),
)
LOCAL_ORIGIN = re.compile(rb"https?://((?:localhost|127\.0\.0\.1|\[::1\]|::1)(?::\d+)?)")


def application() -> Application:
    """Return MLflow's application behind the list; other paths do not exist."""
    # Modules stay: without the search for garbage among them the import takes 0.8 s less (of 3.8).
    gc.disable()
    from mlflow.server.fastapi_app import app

    gc.freeze()
    gc.enable()
    keep_few_store_clients()
    return restricted(app)


def keep_few_store_clients() -> None:
    """Let MLflow keep its two last clients of the store, in place of 64, each with connections of its own.

    MLflow 3.17.2 makes a new one every five minutes, and lets none go before 64 newer ones have come.
    """
    from mlflow.store.artifact import s3_artifact_repo

    uncached = s3_artifact_repo._cached_get_s3_client.__wrapped__
    s3_artifact_repo._cached_get_s3_client = lru_cache(maxsize=STORE_CLIENTS)(uncached)


def restricted(served: Application) -> Application:
    """Return an application of which only the listed paths exist, for its own pages and bodies of bounded length.

    So few calls at once use the database that none waits for a connection that only another waiting one could free.
    And so few files come at once that they fit into the memory.
    """
    calls, room = asyncio.Semaphore(CALLS_AT_ONCE), Room(LARGEST_FILE)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "lifespan":
            # MLflow would look for containers that its assistant has left.
            return
        elif refusal := _refusal(scope["path"], headers := dict(scope["headers"])):
            await _refuse(send, *refusal)
        elif b"transfer-encoding" in headers:
            await _answer_empty(served, scope, receive, send)
        elif not scope["path"].startswith(WITHOUT_DATABASE):
            # The body comes first: so a slow client keeps none from its turn.
            received = [await receive()]
            while received[-1].get("more_body"):
                received.append(await receive())
            await _answer_within(calls, served, scope, _again(received, receive), send)
        elif size := int(headers.get(b"content-length", b"0")):
            await _answer_within(room.taken(size), served, scope, _not_stalled(receive), send)
        else:
            await served(scope, receive, send)

    return answer


def is_allowed(path: str) -> bool:
    """Return whether a path of MLflow's application exists here."""
    return path in ALLOWED or path.startswith(ALLOWED_BELOW)


def _refusal(path: str, headers: dict[bytes, bytes]) -> tuple[int, bytes] | None:
    """Return status and reason where a request is not handed to MLflow."""
    if not is_allowed(path):
        return 404, b"this server has runs and models only\n"
    if _is_from_another_page(headers):
        return 403, b"requests of another server's page are not answered\n"
    most = LARGEST_FILE if path.startswith(FILES) else LARGEST_CALL
    if int(headers.get(b"content-length", b"0")) > most:
        return 413, b"a body must have at most %d bytes here\n" % most
    return None


async def _answer_empty(served: Application, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that does not tell how long its body is, as that of MLflow's client for an empty file.

    A body that is not empty is refused: nobody knows its length before it fills the memory.
    """
    received = [await receive()]
    if received[0].get("body") or received[0].get("more_body"):
        await _refuse(send, 411, b"a body must come with its length\n")
    else:
        await served(scope, _again(received, receive), send)


async def _answer_within(
    turn: contextlib.AbstractAsyncContextManager[None],
    served: Application,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Answer a request within a turn, which ends where the answer begins.

    MLflow has closed the database's session, and let the body go, before its answer begins.
    """
    async with contextlib.AsyncExitStack() as held:
        await held.enter_async_context(turn)

        async def send_without(message: dict[str, Any]) -> None:
            await held.aclose()
            await send(message)

        await served(scope, receive, send_without)


class Room:
    """Bytes that some may take, in the order in which they come."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._first = asyncio.Lock()
        self._given_back = asyncio.Event()

    @contextlib.asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Wait for so many bytes and take them, until the end of the block."""
        async with self._first:
            while self._free < size:
                self._given_back.clear()
                await self._given_back.wait()
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._given_back.set()


def _not_stalled(receive: Receive) -> Receive:
    """Return what receives a body, and gives it up as that of a client that has gone where nothing more comes."""
    coming = True

    async def receive_in_time() -> dict[str, Any]:
        nonlocal coming
        try:
            async with asyncio.timeout(STALLED if coming else None):
                message = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        coming = message.get("more_body", False)
        return message

    return receive_in_time


def _again(received: list[dict[str, Any]], receive: Receive) -> Receive:
    """Return what hands out messages that were received already, and then those that come."""

    async def again() -> dict[str, Any]:
        return received.pop(0) if received else await receive()

    return again


def _is_from_another_page(headers: dict[bytes, bytes]) -> bool:
    """Return whether a browser sends the request for a page of another server on this machine.

    MLflow trusts those pages. Those of other machines it refuses itself.
    """
    origin = LOCAL_ORIGIN.fullmatch(headers.get(b"origin", b""))
    return origin is not None and origin[1] != headers.get(b"host")


async def _refuse(send: Send, status: int, reason: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(reason)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason})
