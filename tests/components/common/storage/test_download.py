import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.common import bounds
from components.common.errors import PipelineError, StatedError, UnavailableError
from components.common.storage.download import download
from components.common.storage.public_adapter import require_public


class Odd(BaseHTTPRequestHandler):
    """Answers in the ways of which an address tells the name."""

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].lstrip("/")
        if name.isdecimal():
            self.send_error(int(name))
        elif name.startswith("redirect-"):
            left = int(name.removeprefix("redirect-"))
            self.send_response(302)
            self.send_header("Location", f"/redirect-{left - 1}" if left > 1 else "/packed")
            self.end_headers()
        elif name == "elsewhere":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.connection.getsockname()[1]}/packed")
            self.end_headers()
        elif name == "huge":
            self._begin(2**40)
        elif name == "endless":
            self._begin(None)
            with suppress(OSError):
                while True:
                    self.wfile.write(bytes(2**16))
        elif name == "trickle":
            self._begin(None)
            with suppress(OSError):
                while not self.server.ended.wait(0.02):  # type: ignore[attr-defined]
                    self.wfile.write(b"x")
        else:
            content = gzip.compress(b"content")
            self._begin(len(content))
            self.wfile.write(content)

    def _begin(self, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def odd_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        server.ended = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()


def test_files_come_from_the_web(raw: Path, web_server: str, tmp_path: Path) -> None:
    file = "t10k-labels-idx1-ubyte"
    assert download(f"{web_server}/small/{file}", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (raw / file).read_bytes()
    assert not download(f"{web_server}/small/{file}.gz", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_redirects_are_followed_within_a_bound(odd_server: str, tmp_path: Path) -> None:
    assert download(f"{odd_server}/redirect-3", tmp_path / "copy")
    assert gzip.decompress((tmp_path / "copy").read_bytes()) == b"content"
    with pytest.raises(
        PipelineError, match="/redirect-4 must be the address of a file but is not .TooManyRedir"
    ):
        download(f"{odd_server}/redirect-4", tmp_path / "copy")


def test_a_file_that_may_not_be_read_is_missing_only_without_a_signature(
    odd_server: str, tmp_path: Path
) -> None:
    assert not download(f"{odd_server}/403", tmp_path / "copy")
    with pytest.raises(PipelineError, match=f"^{odd_server}/403 must be readable but answers 403: its sign"):
        download(f"{odd_server}/403?sig=secret", tmp_path / "copy")


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("401", PipelineError, "must be a file that can be read but answers 401"),
        ("429", UnavailableError, "answers 429"),
        ("503", UnavailableError, "answers 503"),
        ("huge", PipelineError, "bytes must be at most 68,719,476,736 but is 1,099,511,627,776"),
        ("endless", PipelineError, "bytes must be at most 1,000,000 but is "),
        ("trickle", UnavailableError, "must send 61,440 bytes in 0.2 s but sent "),
    ],
)
def test_what_goes_wrong_is_told_without_what_grants_access(
    odd_server: str,
    path: str,
    kind: type[StatedError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if path == "endless":
        monkeypatch.setattr(bounds, "LARGEST_DOWNLOAD", 1_000_000)
    if path == "trickle":
        monkeypatch.setattr(bounds, "LEAST_SECONDS", 0.2)
    with pytest.raises(kind, match=message) as refused:
        download(f"{odd_server.replace('//', '//bob:secret@')}/{path}?sig=secret", tmp_path / "copy")
    assert str(refused.value).startswith(f"{odd_server}/{path}")
    assert "secret" not in str(refused.value)
    assert not list(tmp_path.glob("copy*"))


def test_a_long_download_is_told_and_ends(
    odd_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bounds, "LEAST_SECONDS", 0.05)
    monkeypatch.setattr(bounds, "LONGEST_DOWNLOAD", 0.6)
    with pytest.raises(UnavailableError, match="must be fetched in 0.6 s but only"):
        download(f"{odd_server}/endless", tmp_path / "copy")
    assert f"[ingest] {odd_server}/endless: " in capsys.readouterr().out


@pytest.mark.parametrize("path", ["broken/file", "short/file"])
def test_a_server_that_fails_is_an_outage(web_server: str, path: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=f"^{web_server}/{path} "):
        download(f"{web_server}/{path}?signature=secret", tmp_path / "copy")


def test_an_absent_server_is_an_outage(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnavailableError, match=f"^{address}/file does not answer .ConnectionError"):
            download(f"{address}/file", tmp_path / "copy")


@pytest.mark.parametrize("uri", ["http://", "http://host:port/x", "https://[::1"])
def test_what_is_no_address_is_a_mistake(uri: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="must be the address of a file but is not"):
        download(uri, tmp_path / "copy")


def test_on_a_cluster_private_addresses_are_refused_unless_they_are_allowed(
    odd_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATA_ALLOW_PRIVATE", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    for address in (odd_server, odd_server.replace("127.0.0.1", "localhost")):
        with pytest.raises(PipelineError, match="must come from a public address on a cluster but "):
            download(f"{address}/packed", tmp_path / "copy")
    monkeypatch.setenv("DATA_ALLOW_PRIVATE", "1")
    assert download(f"{odd_server}/elsewhere", tmp_path / "copy")


def test_a_redirect_and_a_second_look_up_are_checked_too(
    odd_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.common.storage import public_adapter

    monkeypatch.setenv("DATA_ALLOW_PRIVATE", "0")
    checked: list[str] = []

    def lenient(host: str, address: str) -> None:
        """Refuse the second host alone."""
        checked.append(host)
        if host == "localhost":
            require_public(host, address)

    monkeypatch.setattr(public_adapter, "require_public", lenient)
    with pytest.raises(PipelineError, match="on a cluster but localhost is "):
        download(f"{odd_server}/elsewhere", tmp_path / "copy")
    # Before the request and after the connection.
    assert checked == ["127.0.0.1", "127.0.0.1", "localhost"]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104
        "224.0.0.1", "::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe",
        "2002:a00:1::", "::",
    ],
)  # fmt: skip
def test_every_private_address_is_known(address: str) -> None:
    with pytest.raises(PipelineError, match="public address"):
        require_public("host", address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_known(address: str) -> None:
    require_public("host", address)
