from pathlib import Path

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.raw_data import (
    PixelWriter,
    has_part,
    open_part,
    raw_files,
    write_labels,
    write_part,
)
from components.common.data.source import LabelledBatch, SourceInfo
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError

COLOUR = ImageSpec(6, 5, 3, tuple(f"class {place}" for place in range(300)))


def a_split(count: int, spec: ImageSpec = MNIST_SPEC, seed: int = 0) -> Split:
    images = np.random.default_rng(seed).integers(0, 256, (count, *spec.shape), dtype=np.uint8)
    return Split(images, (np.arange(count) % len(spec.classes)).astype(spec.label_type), spec)


def test_mnists_parts_come_back_as_they_were(tmp_path: Path) -> None:
    write_part(tmp_path, "train", a_split(20))
    write_part(tmp_path, "test", a_split(10, seed=1))
    assert {path.name for path in tmp_path.iterdir()} == {
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    }
    np.testing.assert_array_equal(open_part(tmp_path, "train", MNIST_SPEC).images, a_split(20).images)
    np.testing.assert_array_equal(open_part(tmp_path, "test", MNIST_SPEC).labels, a_split(10, seed=1).labels)
    assert not has_part(tmp_path, "validation", MNIST_SPEC)


def test_colour_and_300_classes_come_back_as_they_were(tmp_path: Path) -> None:
    write_part(tmp_path, "validation", a_split(400, COLOUR))
    assert has_part(tmp_path, "validation", COLOUR)
    assert {path.name for path in tmp_path.iterdir()} == set(raw_files("validation", COLOUR))
    read = open_part(tmp_path, "validation", COLOUR)
    np.testing.assert_array_equal(read.images, a_split(400, COLOUR).images)
    assert read.labels.dtype == np.int32
    assert read.labels.tolist() == a_split(400, COLOUR).labels.tolist()


def test_chunks_are_written_like_the_whole(tmp_path: Path) -> None:
    write_part(tmp_path, "train", a_split(20))
    with PixelWriter(tmp_path / "chunks", MNIST_SPEC.shape) as writer:
        for start in range(0, 20, 7):
            writer.add(a_split(20).images[start : start + 7])
        # A view whose rows do not lie one after another.
        writer.add(a_split(20).images[:0:-1][:0])
    assert writer.count == 20
    assert (tmp_path / "chunks").read_bytes() == (tmp_path / "train-images-idx3-ubyte").read_bytes()


def test_a_strided_view_is_written_in_order(tmp_path: Path) -> None:
    split = a_split(20)
    write_part(tmp_path, "train", Split(split.images[::3], split.labels[::3], split.spec))
    np.testing.assert_array_equal(open_part(tmp_path, "train", MNIST_SPEC).images, split.images[::3])


def test_a_part_whose_files_do_not_match_is_refused(tmp_path: Path) -> None:
    write_part(tmp_path, "train", a_split(20))
    write_labels(tmp_path / "train-labels-idx1-ubyte", a_split(19).labels, MNIST_SPEC)
    with pytest.raises(
        PipelineError, match=r"train-labels-idx1-ubyte: each image must have a label .* 20 .* 19"
    ):
        open_part(tmp_path, "train", MNIST_SPEC)


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    write_part(tmp_path, "train", a_split(20))
    other = ImageSpec(28, 27, 1, MNIST_SPEC.classes)
    with pytest.raises(
        PipelineError, match=r"images must be N x 28 x 27 x 1 of type uint8 but are 20 x 28 x 28"
    ):
        open_part(tmp_path, "train", other)


def test_the_source_comes_back_as_it_was(tmp_path: Path) -> None:
    info = SourceInfo(
        name="small",
        source="file:///small",
        version="v1",
        files={"train-images-idx3-ubyte": "00"},
        counts={"train": 20, "test": 10},
        batches=(LabelledBatch("labelled/small/a.npz", "11", used=1, duplicates=2, in_test=3),),
        digest="22",
        spec=COLOUR,
        form="npz",
        notes=("the images were turned",),
    )
    info.save(tmp_path)
    assert SourceInfo.load(tmp_path) == info
