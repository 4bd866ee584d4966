"""A proxy of the kind that `HTTP_PROXY` names, which leads every host to one server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class HostProxy(ThreadingHTTPServer):
    """Stands in for a company's proxy and for its names of hosts.

    Attributes:
        hosts: The hosts that were asked for.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _HandOn)
        self.port, self.hosts = port, set[str]()
        self.address = f"http://127.0.0.1:{self.server_port}"


class _HandOn(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HostProxy

    def _hand_on(self) -> None:
        url = urlsplit(self.path)
        self.server.hosts.add(str(url.hostname))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = HTTPConnection("127.0.0.1", self.server.port)
        path = url._replace(scheme="", netloc="").geturl() or "/"
        connection.request(self.command, path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _hand_on  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def host_proxy(port: int) -> Iterator[HostProxy]:
    """Run the proxy before a server on 127.0.0.1."""
    with HostProxy(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
