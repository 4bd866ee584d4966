"""Raw data of one's own, and a web server that hands it out."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.common.dataset import Split
from components.common.files import sha256_file
from components.common.raw_data import write_part
from components.ingest.sources import MNIST_SHA256


class Handler(SimpleHTTPRequestHandler):
    """Serves files; below ``/broken`` nothing works, and below ``/short`` answers break off."""

    def do_GET(self) -> None:
        if self.path.startswith("/broken/"):
            self.send_error(503)
        elif self.path.startswith("/short/"):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"short")
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def raw(tmp_path: Path, make_split: Callable[..., Split]) -> Path:
    """Directory ``small`` with idx files of 40 training and 20 test images."""
    directory = tmp_path / "sources" / "small"
    directory.mkdir(parents=True)
    write_part(directory, "train", make_split(40))
    write_part(directory, "test", make_split(20, seed=1))
    return directory


@pytest.fixture
def raw_is_mnist(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small data pass for the genuine MNIST."""
    for path in raw.iterdir():
        monkeypatch.setitem(MNIST_SHA256, path.name, sha256_file(path))


@pytest.fixture
def web_server(raw: Path) -> Iterator[str]:
    """Address of a server of the directory that `raw` lies in."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(raw.parent))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
