"""A TCP proxy in front of a server, with faults."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Self

Mode = Literal["refuse", "silent", "reset", "error", "slow", "cut", "flip"]
CHUNK = 1 << 16
HEAD_END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100"
# A body is damaged here; smaller ones are answers about objects, not objects.
DAMAGED_AT = 200


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and when.

    Attributes:
        mode: `refuse` closes the port and all connections. `silent` takes requests and never answers, also later.
            `reset` drops the connection after 100 bytes of an answer. `error` answers with `status`. `slow` hands
            answers on at 20 kB a second. `cut` ends the body of an answer early, `flip` changes one bit of it.
        first: The request, counted from 1, with which it begins; on a server without HTTP, the connection.
        each: It meets each so many requests from then on.
        seconds: Its length from the request that it begins with.
        status: For `error`.
        path: It meets only requests with this in their first line.
    """

    mode: Mode
    first: int = 1
    each: int = 1
    seconds: float = float("inf")
    status: int = 503
    path: str = ""


def _bound(port: int) -> socket.socket:
    """Return a socket that shares a port of this machine; 0 for one that is free."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


class FaultProxy:
    """A proxy on 127.0.0.1 whose fault can be changed while it runs.

    Args:
        port: Port of the server on 127.0.0.1.
        http: Whether to count requests; else connections.

    Attributes:
        port: Port of the proxy.
        requests: Requests, or connections, since the fault was set.
        met: Those that met the fault.
    """

    def __init__(self, port: int, *, http: bool = True) -> None:
        self._server_port, self._http = port, http
        self._loop = asyncio.new_event_loop()
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[Any] | None] = set()
        self._fault: Fault | None = None
        self._ends: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Bound as long as the proxy is, without listening: while it refuses, nobody else gets the port.
        self._port = _bound(0)
        self.port: int = self._port.getsockname()[1]
        self.requests = self.met = 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._port.close()

    def set(self, fault: Fault | None) -> None:
        """Begin with a fault, or end it; the count of requests begins anew."""
        self._run(self._set(fault))

    @property
    def over(self) -> bool:
        """Whether there is no fault, or its time is over; one that has not begun is not over."""
        return self._fault is None or (self._ends is not None and self._loop.time() >= self._ends)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, sock=_bound(self.port))

    async def _close(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _end(self) -> None:
        await self._close()
        if self._timer:
            self._timer.cancel()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _set(self, fault: Fault | None) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        # Nobody waits for a silent server longer than its fault is set.
        for writer in list(self._writers):
            writer.transport.abort()
        self._fault, self._ends, self.requests, self.met = fault, None, 0, 0
        if self._listener is None:
            await self._listen()

    def _meets(self, line: bytes) -> Fault | None:
        """Count a request; return the fault that it meets."""
        fault = self._fault
        if fault is None or fault.path.encode() not in line:
            return None
        self.requests += 1
        if self.requests < fault.first or self.over:
            return None
        if self._ends is None:
            self._ends = self._loop.time() + fault.seconds
        if (self.requests - fault.first) % fault.each:
            return None
        self.met += 1
        return fault

    async def _refuse(self, seconds: float) -> None:
        await self._close()
        if seconds != float("inf"):
            self._timer = self._loop.call_later(seconds, lambda: self._loop.create_task(self._listen()))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        # The loop alone keeps no task from being collected, such as one that is silent for ever.
        self._serving.add(task)
        self._writers.add(writer)
        # It is cancelled only where the proxy ends.
        with suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            await (self._serve_http if self._http else self._serve_raw)(reader, writer)
        self._serving.discard(task)
        self._writers.discard(writer)
        writer.transport.abort()

    async def _serve_raw(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._meets(b"")
        if fault and fault.mode == "refuse":
            await self._refuse(fault.seconds)
            return
        upstream = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers.add(upstream[1])
        ways = [
            asyncio.ensure_future(way)
            for way in (_copy(reader, upstream[1]), _copy(upstream[0], writer, self._is_silent))
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._writers.discard(upstream[1])
            upstream[1].transport.abort()

    def _is_silent(self) -> bool:
        """Return whether nothing of a server without HTTP passes now: connections that were open before count too."""
        return self._fault is not None and self._fault.mode == "silent" and not self.over and bool(self.met)

    async def _serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = None
        try:
            while True:
                head = await reader.readuntil(HEAD_END)
                fault = self._meets(head.partition(b"\r\n")[0])
                if fault and not await self._handed_on(fault, writer):
                    return
                if upstream is None:
                    upstream = await asyncio.open_connection("127.0.0.1", self._server_port)
                await _exchange(head, (reader, writer), upstream, _Answer(fault.mode if fault else None))
        finally:
            if upstream:
                upstream[1].transport.abort()

    async def _handed_on(self, fault: Fault, writer: asyncio.StreamWriter) -> bool:
        """Do what a fault does before the server gets the request; return whether it gets it."""
        if fault.mode == "refuse":
            await self._refuse(fault.seconds)
        elif fault.mode == "silent":
            await asyncio.Event().wait()
        elif fault.mode == "error":
            writer.write(
                f"HTTP/1.1 {fault.status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
            await writer.drain()
            # Without this the kernel may drop the answer together with what was not read.
            writer.write_eof()
            await asyncio.sleep(0.2)
        else:
            return True
        return False


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Answer:
    """What becomes of the body of one answer, chunk by chunk."""

    def __init__(self, mode: Mode | None) -> None:
        self._mode, self._sent = mode, 0

    async def changed(self, chunk: bytes) -> tuple[bytes, bool]:
        """Return what is handed on of a chunk, and whether the connection ends there."""
        start, self._sent = self._sent, self._sent + len(chunk)
        if self._mode == "slow":
            await asyncio.sleep(len(chunk) / 20_000)
        if self._mode == "reset" and self._sent > 100:
            return chunk[: max(0, 100 - start)], True
        if self._mode in {"cut", "flip"} and start <= DAMAGED_AT < self._sent:
            at = DAMAGED_AT - start
            if self._mode == "cut":
                return chunk[:at], True
            return chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1 :], False
        return chunk, False


async def _exchange(head: bytes, client: Streams, server: Streams, answer: _Answer) -> None:
    """Hand one request and its answer on."""
    server[1].write(head)
    request = asyncio.ensure_future(_copy_body(head, client[0], server[1], _Answer(None)))
    try:
        while True:
            answered = await server[0].readuntil(HEAD_END)
            client[1].write(answered)
            if not answered.startswith(CONTINUE):
                break
        if not (head.startswith(b"HEAD ") or answered[9:12] in {b"204", b"304"}):
            await _copy_body(answered, server[0], client[1], answer, until_end=True)
        await client[1].drain()
        await request
    finally:
        request.cancel()


async def _copy_body(
    head: bytes,
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    answer: _Answer,
    *,
    until_end: bool = False,
) -> None:
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    if b"chunked" in headers.get(b"transfer-encoding", b""):
        while True:
            size = await source.readline()
            chunk = await source.readexactly(int(size.split(b";")[0], 16) + 2)
            body, ends = await answer.changed(chunk)
            target.write(size + body)
            await target.drain()
            if ends:
                raise ConnectionResetError
            if len(chunk) == 2:
                return
    left = int(headers.get(b"content-length", b"-1" if until_end else b"0"))
    while left:
        chunk = await source.read(CHUNK if left < 0 else min(left, CHUNK))
        if not chunk:
            raise EOFError
        left -= len(chunk) if left > 0 else 0
        body, ends = await answer.changed(chunk)
        target.write(body)
        await target.drain()
        if ends:
            raise ConnectionResetError


async def _copy(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, is_silent: Callable[[], bool] = lambda: False
) -> None:
    with suppress(OSError):
        while chunk := await source.read(CHUNK):
            while is_silent():
                await asyncio.sleep(0.1)
            target.write(chunk)
            await target.drain()
