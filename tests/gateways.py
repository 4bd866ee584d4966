"""Gateways before real servers, which answer some requests themselves; each is a proxy for clients too."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """A request as it reached the gateway; the names of headers are in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


# Status and content of the gateway's own answer; None to hand the request on.
Rule = Callable[[Request], tuple[int, bytes] | None]


class Gateway(ThreadingHTTPServer):
    """Stands before a server.

    Attributes:
        asked: The requests so far.
        address: Where it listens.
    """

    daemon_threads = True

    def __init__(
        self, server: str, rule: Rule, certificate: Path | None, client: Path | None, prefix: str
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.server, self.rule, self.prefix = urlsplit(server).netloc, rule, prefix
        self.asked: list[Request] = []
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            if client:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(client)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.address = f"http{'s' if certificate else ''}://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Say nothing about a client that goes away or refuses the certificate."""


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gateway

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        given = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, given, body)
        self.server.asked.append(request)
        own = self.server.rule(request)
        status, content, tag = (*own, "") if own else self._handed_on(request)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _handed_on(self, request: Request) -> tuple[int, bytes, str]:
        """Return status, content and ETag of the server's answer."""
        connection = HTTPConnection(self.server.server)
        asked = urlsplit(request.path)
        # A proxy is asked for a whole address.
        path = asked._replace(scheme="", netloc="", path=asked.path.removeprefix(self.server.prefix)).geturl()
        connection.request(request.method, path, request.body, request.headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("ETag", "")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def gateway(
    rule: Rule,
    server: str = "",
    certificate: Path | None = None,
    client: Path | None = None,
    prefix: str = "",
) -> Iterator[Gateway]:
    """Run a gateway.

    Args:
        rule: Decides on each request.
        server: The server behind it; "" where the rule answers everything.
        certificate: A key and its certificate, for https.
        client: The certificates of the clients that it answers.
        prefix: Beginning of the paths, which the server does not know.
    """
    with Gateway(server, rule, certificate, client, prefix) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
