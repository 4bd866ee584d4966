"""The faults of the proxy, in front of a small server."""

import http.client
import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.reliability.proxy import Fault, FaultProxy

BODY = bytes(range(250)) * 400


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(BODY)

    def do_PUT(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port
        running.shutdown()


@pytest.fixture
def proxy(server: int) -> Iterator[FaultProxy]:
    with FaultProxy(server) as running:
        yield running


def ask(
    proxy: FaultProxy, *, method: str = "GET", body: bytes = b"", timeout: float = 5
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout)
    try:
        connection.request(method, "/", body or None)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_without_a_fault_everything_passes(proxy: FaultProxy) -> None:
    assert ask(proxy) == (200, BODY)
    assert ask(proxy, method="PUT", body=BODY * 3) == (200, BODY * 3)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port)
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read() == BODY
    connection.close()


def test_nobody_gets_the_port_of_a_proxy_that_refuses(proxy: FaultProxy) -> None:
    proxy.set(Fault("refuse"))
    with pytest.raises(OSError):  # noqa: PT011  # refused, or dropped before
        ask(proxy)
    with pytest.raises(ConnectionRefusedError):
        ask(proxy)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", proxy.port))
    proxy.set(None)
    assert ask(proxy)[0] == 200


def test_refuses_for_a_while(proxy: FaultProxy) -> None:
    proxy.set(Fault("refuse", first=2, seconds=0.3))
    assert ask(proxy)[0] == 200
    with pytest.raises(ConnectionError):
        ask(proxy)
    with pytest.raises(ConnectionRefusedError):
        ask(proxy)
    deadline = time.monotonic() + 5
    while not proxy.over and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    assert ask(proxy) == (200, BODY)


def test_errors_meet_each_nth_request(proxy: FaultProxy) -> None:
    proxy.set(Fault("error", each=3, status=429))
    assert [ask(proxy)[0] for _ in range(6)] == [429, 200, 200, 429, 200, 200]
    assert (proxy.requests, proxy.met) == (6, 2)


def test_silence_is_never_answered(proxy: FaultProxy) -> None:
    proxy.set(Fault("silent", seconds=0.1))
    with pytest.raises(TimeoutError):
        ask(proxy, timeout=0.3)
    assert ask(proxy) == (200, BODY)


def test_damage_to_bodies(proxy: FaultProxy) -> None:
    proxy.set(Fault("flip", path="GET "))
    status, body = ask(proxy)
    assert status == 200
    assert sum(a != b for a, b in zip(body, BODY, strict=True)) == 1
    assert ask(proxy, method="PUT", body=BODY) == (200, BODY)
    for fault in (Fault("cut"), Fault("reset")):
        proxy.set(fault)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            ask(proxy)


def test_a_server_without_http(server: int) -> None:
    with FaultProxy(server, http=False) as proxy:
        assert ask(proxy) == (200, BODY)
        proxy.set(Fault("silent", seconds=0.2))
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
            began = time.monotonic()
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(1)
            assert time.monotonic() - began > 0.1
        proxy.set(Fault("refuse", seconds=60))
        with pytest.raises(ConnectionError):
            ask(proxy)
