"""A receiver of webhooks for the tests of all rooms."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest


class Webhook(BaseHTTPRequestHandler):
    """Answers with the statuses that are left, then with 200; keeps heads and bodies."""

    statuses: ClassVar[list[int]] = []
    received: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append(({key.lower(): value for key, value in self.headers.items()}, body))
        status = self.statuses.pop(0) if self.statuses else 200
        if not status:
            return  # the connection breaks
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """Let a server of this process answer; yield its port."""
    with server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@pytest.fixture
def webhook() -> Iterator[str]:
    """Address of a `Webhook` that has received nothing; its path is its secret."""
    Webhook.statuses.clear()
    Webhook.received.clear()
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Webhook)) as port:
        yield f"http://127.0.0.1:{port}/services/T00SECRET"
