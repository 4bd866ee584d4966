import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.idx import idx_header
from components.common.data.raw_data import open_part, raw_files
from components.common.data.source import SourceInfo
from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.common.storage.files import combined_digest, sha256_file
from components.common.storage.object_store import ObjectStore
from components.ingest import sources
from components.ingest.collect import collect_data
from components.ingest.sources import MNIST_SHA256

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FILES = {file for part in ("train", "test") for file in raw_files(part, MNIST_SPEC)}


def _data(source: str, name: str = "", version: str = "") -> DataPlan:
    return DataPlan(source=source, name=name or None, version=version)


@pytest.mark.usefixtures("no_object_store")
def test_the_target_holds_the_files_and_their_description(raw: Path, tmp_path: Path) -> None:
    target = tmp_path / "artifacts" / "raw"
    info = collect_data(_data(str(raw), version="week 1"), target)
    assert {path.name for path in target.iterdir()} == FILES | {"source.json"}
    for file in FILES:
        assert (target / file).read_bytes() == (raw / file).read_bytes()
    assert SourceInfo.load(target) == info
    assert (info.name, info.source, info.version) == ("small", raw.as_uri(), "week 1")
    assert info.files == {file: sha256_file(raw / file) for file in FILES}
    assert info.digest == combined_digest(info.files)
    assert info.counts == {"train": 40, "test": 20}
    assert info.batches == ()


@pytest.mark.usefixtures("no_object_store")
@pytest.mark.parametrize("existing", [True, False])
def test_bad_data_leaves_the_target_as_it_was(raw: Path, tmp_path: Path, *, existing: bool) -> None:
    target = tmp_path / "target"
    if existing:
        target.mkdir()
    os.truncate(raw / "t10k-images-idx3-ubyte", 1000)
    with pytest.raises(PipelineError, match="t10k-images-idx3-ubyte must hold .* bytes after its header"):
        collect_data(_data(str(raw)), target)
    assert set(tmp_path.iterdir()) == ({raw.parent, target} if existing else {raw.parent})
    assert not existing or not list(target.iterdir())


@pytest.mark.usefixtures("no_object_store", "raw_is_mnist")
def test_genuine_files_are_mnist_whatever_they_lie_in(raw: Path, tmp_path: Path) -> None:
    assert collect_data(_data(str(raw)), tmp_path / "target").name == "mnist"


@pytest.mark.usefixtures("no_object_store")
def test_false_mnist_is_refused_and_nothing_written(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError,
        match="but in .* the sha256 of train-images-idx3-ubyte is",
    ):
        collect_data(_data(str(raw), name="mnist"), tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.usefixtures("raw_is_mnist")
def test_what_the_store_keeps_needs_no_source_again(
    raw: Path, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MIRRORS", ())
    first = collect_data(_data(str(raw)), tmp_path / "first")
    second = collect_data(_data("mnist"), tmp_path / "second")
    assert len(store.keys("objects/sha256/")) == len(set(MNIST_SHA256.values()))
    assert second.source == f"s3://{store.bucket}/objects/sha256"
    assert (second.name, second.files, second.digest) == (first.name, first.files, first.digest)


@pytest.mark.usefixtures("raw_is_mnist")
def test_labelled_batches_join_the_training_part(
    raw: Path, store: ObjectStore, s3_client: "S3Client", tmp_path: Path, make_split: Callable[..., Split]
) -> None:
    plain = collect_data(_data(str(raw)), tmp_path / "plain")
    extra, content = make_split(30, seed=2), BytesIO()
    np.savez(content, images=extra.images, labels=extra.labels)
    s3_client.put_object(Bucket=store.bucket, Key="labelled/mnist/a.npz", Body=content.getvalue())
    info = collect_data(_data("mnist"), tmp_path / "merged")
    assert info.name == "mnist"
    assert info.counts == {"train": 70, "test": 20}
    assert [(batch.key, batch.used) for batch in info.batches] == [("labelled/mnist/a.npz", 30)]
    assert info.digest != plain.digest
    assert info.files == {file: sha256_file(tmp_path / "merged" / file) for file in FILES}
    np.testing.assert_array_equal(
        open_part(tmp_path / "merged", "train", MNIST_SPEC).images[40:], extra.images
    )
    np.testing.assert_array_equal(
        open_part(tmp_path / "merged", "test", MNIST_SPEC).images, make_split(20, seed=1).images
    )
    assert SourceInfo.load(tmp_path / "merged") == info


@pytest.mark.usefixtures("no_object_store")
def test_another_data_set_of_the_same_form(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    directory = tmp_path / "Fashion"
    directory.mkdir()
    for part, count in (("train", 30), ("test", 10)):
        split = make_split(count)
        for file, array in zip(
            raw_files(part, MNIST_SPEC), (split.images[..., 0], split.labels), strict=True
        ):
            header = idx_header(array.dtype, array.shape)
            (directory / file.replace("-idx", ".idx")).write_bytes(header + array.tobytes())
    assert collect_data(_data(str(directory)), tmp_path / "target").name == "fashion"


@pytest.mark.usefixtures("no_object_store")
@pytest.mark.skipif("MNIST_DATA_URI" not in os.environ, reason="MNIST_DATA_URI is not set")
def test_genuine_mnist(tmp_path: Path) -> None:
    info = collect_data(_data(os.environ["MNIST_DATA_URI"]), tmp_path / "target")
    assert info.name == "mnist"
    assert info.counts == {"train": 60_000, "test": 10_000}
    assert info.files == MNIST_SHA256
