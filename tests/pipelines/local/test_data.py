import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from pipelines.local.data import FALLBACK, local_data
from pipelines.local.process import free_port


@pytest.fixture(autouse=True)
def nothing_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a named copy of MNIST nor an object store, and mirrors that do not answer."""
    for name in ("MNIST_DATA_URI", "S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("components.ingest.sources.MIRRORS", (f"http://127.0.0.1:{free_port(0)}/",))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setattr("components.ingest.sources.MIRRORS", (f"http://127.0.0.1:{server.server_port}/",))
        yield
        server.shutdown()
        thread.join()


def _local_data(data: str) -> tuple[tuple[str, str | None], list[str]]:
    told: list[str] = []
    return local_data(data, told.append), told


@pytest.mark.parametrize("data", ["auto", "mnist"])
@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("s3://bucket/mnist", "s3://bucket/mnist"),
        ("/data/mnist", "/data/mnist"),
        ("mnist.npz", "{here}/mnist.npz"),
        ("https://bob:pw@host/mnist", "env:MNIST_DATA_URI"),
        ("env:DATA_URI", "env:DATA_URI"),
    ],
)
def test_a_named_copy_comes_first(
    data: str, named: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_DATA_URI", named)
    expected = address.format(here=tmp_path), "mnist"
    assert _local_data(data) == (expected, [])


@pytest.mark.parametrize(
    ("data", "address"),
    [
        ("mnist", "mnist"),
        ("digits", "digits"),
        ("https://example.org/mnist.npz", "https://example.org/mnist.npz"),
        ("/data/letters", "/data/letters"),
        ("letters", "{here}/letters"),
        ("../letters", "{above}/letters"),
    ],
)
def test_data_that_is_asked_for_is_taken_as_it_is(data: str, address: str, tmp_path: Path) -> None:
    expected = address.format(here=tmp_path, above=tmp_path.parent), None
    assert _local_data(data) == (expected, [])


@pytest.mark.parametrize("data", ["digits", "letters"])
def test_a_named_copy_is_not_other_data(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_DATA_URI", "/data/mnist")
    (source, name), _ = _local_data(data)
    assert (Path(source).name, name) == (data, None)


@pytest.mark.usefixtures("mirror")
def test_auto_is_mnist_where_a_mirror_answers() -> None:
    assert _local_data("auto") == (("mnist", None), [])


def test_auto_falls_back_on_the_digits_and_says_so() -> None:
    assert _local_data("auto") == (("digits", None), [FALLBACK])


def test_a_tilde_that_no_shell_read_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_data("~/pets", print) == (str(tmp_path / "pets"), None)


def test_an_empty_address_is_not_this_directory() -> None:
    assert local_data("", print) == ("", None)
