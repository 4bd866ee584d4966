import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.dataset import Split, checked_split, open_split
from components.common.data.info import DatasetInfo
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.storage.files import combined_digest, sha256_file
from tests.records import COLOUR, SPLIT, prepared, random_split, source_info


@pytest.fixture
def written(tmp_path: Path, make_split: Callable[..., Split]) -> tuple[Path, DatasetInfo]:
    directory = tmp_path / "development"
    splits = {"train": make_split(25), "validation": make_split(10, seed=1)}
    info = prepared(directory, splits, "small", test_digest="d" * 64)
    return directory, info


def test_what_is_written_can_be_opened(
    written: tuple[Path, DatasetInfo], make_split: Callable[..., Split]
) -> None:
    directory, _ = written
    for name, expected in (("train", make_split(25)), ("validation", make_split(10, seed=1))):
        split = open_split(directory, name)
        assert isinstance(split.images, np.memmap)
        assert split.images.dtype == split.labels.dtype == np.uint8
        np.testing.assert_array_equal(split.images, expected.images)
        np.testing.assert_array_equal(split.labels, expected.labels)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_the_info_describes_the_files(written: tuple[Path, DatasetInfo]) -> None:
    directory, info = written
    assert DatasetInfo.load(directory) == info
    assert (info.name, info.raw, info.split) == ("small", source_info("small"), SPLIT)
    assert info.test_digest == "d" * 64
    assert info.counts == {"train": 25, "validation": 10}
    assert info.class_counts == {"train": (3,) * 5 + (2,) * 5, "validation": (1,) * 10}
    assert info.files == {path.name: sha256_file(path) for path in directory.glob("*.npy")}
    assert info.digest == combined_digest(info.files)


def test_the_digest_depends_on_the_arrays_alone(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    one, same, other = (
        prepared(tmp_path / name, {"test": make_split(10, seed=data)}, name)
        for name, data in (("one", 0), ("two", 0), ("three", 1))
    )
    assert one.digest == same.digest != other.digest
    assert one.test_digest == one.digest


@pytest.mark.parametrize(
    "spec",
    [COLOUR, ImageSpec(5, 9, 1, ("a", "b")), ImageSpec(6, 4, 3, tuple(map(str, range(300))))],
)
def test_images_of_any_size_come_back(tmp_path: Path, spec: ImageSpec) -> None:
    expected = random_split(700, spec=spec)
    info = prepared(tmp_path / "data", {"test": expected})
    split = open_split(tmp_path / "data", "test")
    assert (split.spec, info.spec) == (spec, spec)
    assert isinstance(split.images, np.memmap)
    np.testing.assert_array_equal(split.images, expected.images)
    np.testing.assert_array_equal(split.labels, expected.labels)
    assert split.labels.dtype == (np.uint8 if len(spec.classes) <= 256 else np.int32)
    assert sum(info.class_counts["test"]) == 700


def test_the_files_are_as_numpy_writes_them(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    split = make_split(25)
    prepared(tmp_path / "data", {"test": split})
    np.save(tmp_path / "expected.npy", split.images[..., 0])
    assert (tmp_path / "data" / "test_images.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_an_unknown_split_is_refused(written: tuple[Path, DatasetInfo]) -> None:
    with pytest.raises(PipelineError, match="must hold the split 'test' but holds only train, validation"):
        open_split(written[0], "test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b""), "train_images.npy must be an npy array"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "train_images.npy must be an npy array"),
        (lambda path: np.save(path, np.array([{}])), "train_images.npy must be an npy array"),
        (
            lambda path: np.save(path, np.zeros((25, 28, 28))),
            "train_images.npy: .* 25 x 28 x 28 x 1 of type float64",
        ),
        (
            lambda path: np.save(path, np.zeros((24, 28, 28), np.uint8)),
            "train_labels.npy: each image must have a label but there are 24 images .* 25 labels",
        ),
    ],
)
def test_a_damaged_array_is_refused(
    written: tuple[Path, DatasetInfo], change: Callable[[Path], None], message: str
) -> None:
    directory, _ = written
    path = directory / "train_images.npy"
    change(path)
    record = json.loads((directory / "dataset.json").read_text())
    record["files"][path.name] = sha256_file(path)
    (directory / "dataset.json").write_text(json.dumps(record))
    with pytest.raises(PipelineError, match=message) as refusal:
        open_split(directory, "train")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "train_labels.npy must be a file that can be read but is not"),
        (_flip, "train_labels.npy must have the sha256 .* that dataset.json records but has"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused_whenever_that_happens(
    written: tuple[Path, DatasetInfo], change: Callable[[Path], None], message: str
) -> None:
    directory, _ = written
    open_split(directory, "train")
    change(directory / "train_labels.npy")
    with pytest.raises(PipelineError, match=message):
        open_split(directory, "train")
    assert len(open_split(directory, "validation").labels) == 10


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "files",
            {"../train_images.npy": "0" * 64},
            r"dataset.json .* files\.\.\./train_images\.npy.*String should",
        ),
        ("files", {}, "train_images.npy must have the sha256 none that dataset.json records"),
        ("counts", {"train": 24, "validation": 10}, "dataset.json announces 24 images but there are 25"),
        ("format_version", 1, "dataset.json .* format_version: Input should be 2"),
    ],
)
def test_a_false_dataset_json_is_refused(
    written: tuple[Path, DatasetInfo], field: str, value: object, message: str
) -> None:
    path = written[0] / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(PipelineError, match=message):
        open_split(written[0], "train")


IMAGES = np.zeros((3, 28, 28, 1), np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            np.zeros((3, 28, 28), np.uint8),
            [0, 1, 2],
            "^I: images must be .* but are 3 x 28 x 28 of type uint8",
        ),
        (
            np.zeros((3, 32, 32, 1), np.uint8),
            [0, 1, 2],
            "^I: images must be N x 28 x 28 x 1 .* 3 x 32 x 32 x 1",
        ),
        (np.zeros((3, 784), np.uint8), [0, 1, 2], "^I: images must be N x 28 x 28 x 1 .* 3 x 784"),
        (np.array(0, np.uint8), [0, 1, 2], "^I: images must be N x 28 x 28 x 1 .* a single value"),
        (IMAGES.astype(np.float32), [0, 1, 2], "^I: images must be .* of type uint8 but .* float32"),
        (IMAGES[:0], [], "^I: there must be at least one image but there are 0"),
        (IMAGES, [0, 1], "^L: each image must have a label but there are 3 images in I and 2 labels"),
        (IMAGES, [0.0, 1.0, 2.0], "^L: labels must be N integers but are 3 of type float64"),
        (IMAGES, [[0], [1], [2]], "^L: labels must be N integers but are 3 x 1 of type int64"),
        (IMAGES, [0, 1, 10], "^L: labels must be 0 to 9 but number 2 is 10"),
        (IMAGES, [0, -1, 2], "^L: labels must be 0 to 9 but number 1 is -1"),
        (IMAGES, [256, 1, 2], "^L: labels must be 0 to 9 but number 0 is 256"),
    ],
)
def test_the_rules_of_a_split(images: NDArray[Any], labels: list[Any], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        checked_split(images, np.array(labels), MNIST_SPEC, ("I", "L"))


def test_labels_of_any_integer_type_become_uint8() -> None:
    split = checked_split(IMAGES, np.array([0, 9, 5]), MNIST_SPEC, ("I", "L"))
    assert split.labels.dtype == np.uint8
    assert split.labels.tolist() == [0, 9, 5]
