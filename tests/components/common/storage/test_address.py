import socket
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.common.storage.address import absolute_uri, fetch, shown


@pytest.mark.parametrize("uri", ["file:///a/b", "http://host/a", "https://host/a?b=c", "s3://bucket/key"])
def test_a_uri_stays_as_it_is(uri: str) -> None:
    assert absolute_uri(uri) == uri


def test_a_path_becomes_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for address in ("a b", "./a b/", "~/a b", str(tmp_path / "a b")):
        assert absolute_uri(address) == f"{tmp_path.as_uri()}/a%20b"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("no-such-path", "must be mnist, digits, a path or a URI but .*/no-such-path does not exist"),
        ("gs://bucket/data", "must be a path or a file, http, https or s3 URI but is gs://bucket/data"),
    ],
)
def test_any_other_address_is_refused(address: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        absolute_uri(address)


@pytest.mark.parametrize(
    ("uri", "safe"),
    [
        ("https://host/a.npz?X-Amz-Signature=secret", "https://host/a.npz"),
        ("https://host/a.npz", "https://host/a.npz"),
        ("https://bob:secret@host:8443/a.npz#secret", "https://host:8443/a.npz"),
        ("postgresql://optuna:secret@db/optuna?sslmode=require", "postgresql://db/optuna"),
        ("s3://bucket/what?", "s3://bucket/what?"),
        ("/data/what?", "/data/what?"),
    ],
)
def test_what_grants_access_is_not_shown(uri: str, safe: str) -> None:
    assert shown(uri) == safe


def test_files_come_from_the_disk_and_from_the_web(raw: Path, web_server: str, tmp_path: Path) -> None:
    file = "t10k-labels-idx1-ubyte"
    for uri in (f"{raw.as_uri()}/{file}", f"{web_server}/small/{file}"):
        assert fetch(uri, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == (raw / file).read_bytes()
        assert not fetch(f"{uri}.gz", tmp_path / "nothing")
        assert not (tmp_path / "nothing").exists()


def test_a_directory_is_no_file(raw: Path, tmp_path: Path) -> None:
    assert not fetch(raw.as_uri(), tmp_path / "copy")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("broken/file", "broken/file answers 503"),
        ("short/file", "short/file does not answer .ChunkedEncodingError"),
    ],
)
def test_a_server_that_fails_is_named(web_server: str, path: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=f"^{web_server}/{message}"):
        fetch(f"{web_server}/{path}?signature=secret", tmp_path / "copy")


def test_an_absent_server_is_named(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(PipelineError, match=f"^{address}/file does not answer .ConnectionError"):
            fetch(f"{address}/file", tmp_path / "copy")
