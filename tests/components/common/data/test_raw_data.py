"""Raw data as idx files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from components.common.data.dataset import Split
from components.common.data.raw_data import (
    PixelFile,
    has_part,
    open_part,
    raw_files,
    write_labels,
    write_part,
)
from components.common.data.source import LabelledBatch, SourceInfo, training_images
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from tests.records import COLOUR, random_split

MANY = ImageSpec(4, 6, 3, tuple(map(str, range(300))))


def test_the_files_of_grey_data_are_named_as_mnists(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    write_part(tmp_path, "train", make_split(20))
    write_part(tmp_path, "test", make_split(10, seed=1))
    assert {path.name for path in tmp_path.iterdir()} == {
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    }
    assert [has_part(tmp_path, part, MNIST_SPEC) for part in ("train", "validation", "test")] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("spec", [MNIST_SPEC, COLOUR, MANY])
def test_parts_come_back_as_they_were(tmp_path: Path, spec: ImageSpec) -> None:
    written = random_split(600, spec=spec)
    write_part(tmp_path, "validation", written)
    found = open_part(tmp_path, "validation", spec)
    np.testing.assert_array_equal(found.images, written.images)
    np.testing.assert_array_equal(found.labels, written.labels)
    assert found.labels.dtype == written.labels.dtype


@pytest.mark.parametrize("whole", [0, 2**30])
@pytest.mark.parametrize("spec", [MNIST_SPEC, COLOUR])
def test_rows_and_chunks_are_read_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: ImageSpec, whole: int
) -> None:
    monkeypatch.setattr("components.common.data.raw_data.WHOLE_BYTES", whole)
    monkeypatch.setattr("components.common.data.raw_data.CHUNK_BYTES", 7 * spec.pixels)
    written = random_split(60, spec=spec)
    write_part(tmp_path, "train", written)
    pixels = PixelFile(tmp_path, "train", spec)
    rows = np.random.default_rng(0).permutation(60)[:40]
    np.testing.assert_array_equal(pixels.take(rows), written.images[rows])
    chunks = list(pixels.chunks())
    assert {len(chunk) for chunk in chunks[:-1]} == {7}
    np.testing.assert_array_equal(np.concatenate(chunks), written.images)


def test_a_part_whose_files_do_not_match_is_refused(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    write_part(tmp_path, "train", make_split(20))
    write_labels(tmp_path / raw_files("train", MNIST_SPEC)[1], make_split(19).labels, MNIST_SPEC)
    with pytest.raises(
        PipelineError, match=r"train-labels-idx1-ubyte: each image must have a label .* 20 .* 19"
    ):
        open_part(tmp_path, "train", MNIST_SPEC)


def test_the_source_comes_back_as_it_was(tmp_path: Path) -> None:
    info = SourceInfo(
        name="small",
        source="file:///small",
        version="v1",
        files={"train-images-idx3-ubyte": "0" * 64},
        counts={"train": 20, "test": 10},
        batches=(LabelledBatch("labelled/small/a.npz", "11", used=1, duplicates=2, in_test=3),),
        digest="22",
        spec=COLOUR,
        form="pictures",
        notes=("the images were turned",),
    )
    info.save(tmp_path)
    assert SourceInfo.load(tmp_path) == info


def test_a_source_that_was_written_before_images_were_described_holds_digits(tmp_path: Path) -> None:
    (tmp_path / "source.json").write_text(
        '{"name": "mnist", "source": "s", "version": "", "files": {}, "counts": {}, "batches": [], "digest": "d"}'
    )
    spec = SourceInfo.load(tmp_path).spec
    assert (spec.shape, spec.classes, spec.pictures) == ((28, 28, 1), tuple("0123456789"), "digit")


@pytest.mark.parametrize(
    ("counts", "fraction", "images"),
    [
        ({"train": 60_000, "test": 10_000}, 1.0, 48_000),
        ({"train": 101, "test": 10}, 1.0, 80),
        ({"train": 101, "test": 10}, 0.5, 40),
        ({"train": 101, "validation": 7, "test": 10}, 0.5, 50),
    ],
)
def test_the_training_split_is_what_the_split_leaves(
    counts: dict[str, int], fraction: float, images: int
) -> None:
    assert training_images(counts, fraction) == images
    if "validation" not in counts:
        rows = np.arange(counts["train"])
        if fraction < 1:
            rows, _ = train_test_split(rows, train_size=fraction)
        assert len(train_test_split(rows, test_size=0.2)[0]) == images
