import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.data.idx import idx_header
from components.common.data.raw_data import open_part
from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError, UnavailableError
from components.common.plan.run import DataPlan
from components.common.storage.files import sha256_file
from components.common.storage.object_store import ObjectStore
from components.ingest import sources
from components.ingest.intake import take_in
from components.ingest.sources import mnist_available, open_source

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, eq=False)
class Source:
    """Training part, test part, and their address."""

    train: Split
    test: Split
    uri: str


def load_source(data: str, store: ObjectStore | None) -> Source:
    """Take data in, as the ingest step does."""
    with TemporaryDirectory() as directory, TemporaryDirectory() as scratch:
        plan, raw = DataPlan(source=data), Path(directory)
        form = open_source(plan, store, Path(scratch))
        spec = take_in(form, plan, raw).spec
        train, test = (open_part(raw, part, spec) for part in ("train", "test"))
        # The files are gone when the caller reads.
        kept = (Split(np.array(part.images), part.labels, spec) for part in (train, test))
        return Source(next(kept), next(kept), form.uri)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    path.write_bytes(idx_header(array.dtype, array.shape) + array.tobytes())


def assert_small(source: Source, make_split: Callable[..., Split]) -> None:
    for found, expected in ((source.train, make_split(40)), (source.test, make_split(20, seed=1))):
        np.testing.assert_array_equal(found.images, expected.images)
        np.testing.assert_array_equal(found.labels, expected.labels)


def compress(directory: Path) -> None:
    for path in directory.iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def respell(directory: Path) -> None:
    for path in directory.iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))


def as_npz(directory: Path) -> Path:
    train, test = open_part(directory, "train", MNIST_SPEC), open_part(directory, "test", MNIST_SPEC)
    path = directory.with_suffix(".npz")
    np.savez(
        path,
        x_train=train.images[..., 0],
        y_train=train.labels,
        x_test=test.images[..., 0],
        y_test=test.labels,
    )
    return path


@pytest.mark.parametrize("changes", [(), (compress,), (respell,), (respell, compress)])
def test_a_directory_of_idx_files_is_a_source(
    raw: Path, make_split: Callable[..., Split], changes: tuple[Callable[[Path], None], ...]
) -> None:
    for change in changes:
        change(raw)
    source = load_source(str(raw), None)
    assert_small(source, make_split)
    assert source.uri == raw.as_uri()


def test_a_relative_path_and_a_file_uri_are_addresses(
    raw: Path, make_split: Callable[..., Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(raw.parent)
    spaced = raw.rename(raw.with_name("one's own"))
    for data in ("one's own", "./one's own/", spaced.as_uri(), f"file://{spaced}"):
        assert_small(load_source(data, None), make_split)


def test_an_npz_file_is_a_source(raw: Path, make_split: Callable[..., Split]) -> None:
    path = as_npz(raw)
    source = load_source(str(path), None)
    assert_small(source, make_split)
    assert source.uri == path.as_uri()


@pytest.mark.parametrize("prepare", [lambda _: None, compress])
def test_a_web_address_is_a_source(
    raw: Path, web_server: str, make_split: Callable[..., Split], prepare: Callable[[Path], None]
) -> None:
    prepare(raw)
    for base in (f"{web_server}/small", f"{web_server}/small/"):
        source = load_source(base, None)
        assert_small(source, make_split)
        assert source.uri == base


def test_a_signature_in_a_web_address_is_not_recorded(
    raw: Path, web_server: str, make_split: Callable[..., Split]
) -> None:
    as_npz(raw)
    source = load_source(f"{web_server}/small.npz?signature=secret", None)
    assert_small(source, make_split)
    assert source.uri == f"{web_server}/small.npz"
    with pytest.raises(PipelineError) as refusal:
        load_source(f"{web_server}/other.npz?signature=secret", None)
    assert "secret" not in str(refusal.value)


def test_user_and_signature_are_sent_for_each_file_of_a_directory(
    web_server: str,
    web_requests: list[tuple[str, str | None]],
    make_split: Callable[..., Split],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATA_URI", f"{web_server.replace('//', '//bob:secret@')}/small?signature=secret")
    source = load_source("env:DATA_URI", None)
    assert_small(source, make_split)
    assert source.uri == f"{web_server}/small"
    assert len(web_requests) > 4
    assert all(path.endswith("?signature=secret") for path, _ in web_requests)
    assert {user for _, user in web_requests} == {"Basic Ym9iOnNlY3JldA=="}


def test_another_digest_than_was_asked_for_is_refused(raw: Path, tmp_path: Path) -> None:
    path = as_npz(raw)
    for place, digest in (path, sha256_file(path)), (path, "0" * 64), (raw, "0" * 64):
        plan, scratch = (
            DataPlan(source=str(place), sha256=digest),
            tmp_path / f"scratch-{digest[:1]}-{place.name}",
        )
        if digest == sha256_file(path):
            assert open_source(plan, None, scratch).kind == "npz"
            continue
        with pytest.raises(PipelineError, match=f"{place.name} must be a file with the sha256 0000"):
            open_source(plan, None, scratch)


def test_on_a_cluster_files_of_the_container_are_refused_unless_they_are_allowed(
    raw: Path, make_split: Callable[..., Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATA_ALLOW_PRIVATE", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    for address in (str(raw), raw.as_uri()):
        with pytest.raises(PipelineError, match="must come from an http, https or s3 address on a cluster"):
            load_source(address, None)
    monkeypatch.setenv("DATA_ALLOW_PRIVATE", "1")
    assert_small(load_source(str(raw), None), make_split)


def test_an_s3_prefix_and_an_s3_npz_are_sources(
    raw: Path, store: ObjectStore, s3_client: "S3Client", make_split: Callable[..., Split]
) -> None:
    as_npz(raw)
    compress(raw)
    for path in (*raw.iterdir(), raw.with_suffix(".npz")):
        s3_client.upload_file(str(path), store.bucket, f"data/{path.relative_to(raw.parent)}")
    for uri in (store.uri("data/small"), store.uri("data/small/"), store.uri("data/small.npz")):
        source = load_source(uri, None)
        assert_small(source, make_split)
        assert source.uri == uri


def test_the_bundled_digits_are_a_source() -> None:
    source = load_source("digits", None)
    assert len(source.train.labels) == 1442
    assert source.uri == "sklearn.datasets.load_digits"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("file:///no-such-directory", "/no-such-directory must exist but does not: "),
        ("file:///no-such-file.npz", "/no-such-file.npz must exist but does not: "),
    ],
)
def test_an_address_without_data_is_an_error(data: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        load_source(data, None)


def test_a_missing_file_is_named(raw: Path, web_server: str) -> None:
    (raw / "t10k-labels-idx1-ubyte").unlink()
    for data in (str(raw), f"{web_server}/small"):
        with pytest.raises(PipelineError, match=r"small must hold t10k-labels-idx1-ubyte"):
            load_source(data, None)


@pytest.mark.usefixtures("raw_is_mnist")
def test_mnist_comes_from_the_store_before_any_mirror(
    raw: Path, store: ObjectStore, make_split: Callable[..., Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MIRRORS", ())
    for path in list(raw.iterdir())[:3]:
        store.put_content(path)
    assert mnist_available(store) is None
    with pytest.raises(PipelineError, match="a mirror must give MNIST but none does"):
        load_source("mnist", store)
    for path in raw.iterdir():
        store.put_content(path)
    assert mnist_available(store) == store.endpoint
    source = load_source("mnist", store)
    assert_small(source, make_split)
    assert source.uri == store.uri("objects/sha256")


def test_each_mirror_is_tried(
    raw: Path,
    web_server: str,
    make_split: Callable[..., Split],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compress(raw)
    mirrors = "http://127.0.0.1:1/", f"{web_server}/nothing/", f"{web_server}/small/"
    monkeypatch.setattr(sources, "MIRRORS", mirrors)
    source = load_source("mnist", None)
    assert_small(source, make_split)
    assert source.uri == mirrors[2]
    assert capsys.readouterr().out.splitlines() == [
        f"[ingest] fetching MNIST from {mirror}" for mirror in mirrors
    ]


def test_an_error_names_all_mirrors_when_none_answers(
    web_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MIRRORS", ("http://127.0.0.1:1/", f"{web_server}/nothing/"))
    # What is away may come back; then it is an outage.
    for mirrors, kind in (sources.MIRRORS, UnavailableError), (sources.MIRRORS[1:] * 2, PipelineError):
        monkeypatch.setattr(sources, "MIRRORS", mirrors)
        with pytest.raises(
            kind,
            match=r"a mirror must give MNIST but none does \(http://127.0.0.1:.*; http.*/nothing/ must .*--data",
        ):
            load_source("mnist", None)


def test_a_mirror_is_available_when_it_answers(
    raw: Path, web_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = "http://127.0.0.1:1/", f"{web_server}/small/"
    monkeypatch.setattr(sources, "MIRRORS", mirrors)
    assert mnist_available(None, seconds=0.5) is None
    compress(raw)
    assert mnist_available(None) == mirrors[1]


def test_a_pipe_is_neither_a_file_nor_a_directory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(
        PipelineError, match="pipe must be a file or a directory but is a pipe or a device: give"
    ):
        load_source(str(tmp_path / "pipe"), None)
