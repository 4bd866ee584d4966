"""idx files, written with `struct` as their publishers write them."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.errors import PipelineError
from tests.forms import read_classes, read_part, recognized

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def images(count: int, seed: int = 0, shape: tuple[int, ...] = (28, 28)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def write(path: Path, array: NDArray[Any]) -> None:
    code = CODES[array.dtype.name]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    content = header + array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)


def write_pair(
    directory: Path, prefix: str, count: int, *, first: int = 0, classes: int = 10, seed: int = 0
) -> None:
    write(directory / f"{prefix}-images-idx3-ubyte.gz", images(count, seed))
    write(directory / f"{prefix}-labels-idx1-ubyte.gz", (np.arange(count) % classes + first).astype(np.uint8))


@pytest.mark.parametrize("spelling", ["-{}-idx{}-ubyte", "-{}.idx{}-ubyte", "_{}-idx{}-ubyte", "-{}.idx"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnists_files_are_read_in_each_spelling(tmp_path: Path, spelling: str, suffix: str) -> None:
    for part, count in (("train", 30), ("t10k", 20)):
        write(tmp_path / f"{part}{spelling.format('images', 3)}{suffix}", images(count))
        write(
            tmp_path / f"{part}{spelling.format('labels', 1)}{suffix}",
            (np.arange(count) % 10).astype(np.uint8),
        )
    form = recognized(tmp_path)
    assert (form.kind, form.names, form.turned, set(form.parts)) == ("idx", (), False, {"train", "test"})
    pixels, labels = read_part(form, "test")
    np.testing.assert_array_equal(pixels[..., 0], images(20))
    assert labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] * 2


def test_torchvisions_root_is_looked_into_and_its_unpacked_files_are_no_second_set(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        write_pair(raw, prefix, 20)
    for path in list(raw.iterdir()):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    form = recognized(tmp_path)
    assert form.uri == f"file://{raw}"
    assert form.parts["train"].place == f"file://{raw}/train-images-idx3-ubyte.gz"


def test_emnists_letters_are_turned_and_named_from_label_1(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_pair(tmp_path, f"emnist-letters-{part}", 52, first=1, classes=26)
    form = recognized(tmp_path)
    assert form.turned
    assert read_classes(form) == tuple("abcdefghijklmnopqrstuvwxyz")


def test_emnists_mapping_file_says_the_same(tmp_path: Path) -> None:
    write_pair(tmp_path, "emnist-letters-train", 52, first=1, classes=26)
    published = recognized(tmp_path).names
    lines = [f"{place} {64 + place} {96 + place}" for place in range(1, 27)]
    (tmp_path / "emnist-letters-mapping.txt").write_text("\n".join(lines) + "\n")
    assert recognized(tmp_path).names == published
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 1102\n")
    assert recognized(tmp_path).names == ("", "a", "ю")


@pytest.mark.parametrize("content", ["1\n", "a b\n", "<html>", "", "1 99999999999\n"])
def test_a_damaged_mapping_file_is_refused(tmp_path: Path, content: str) -> None:
    write_pair(tmp_path, "emnist-letters-train", 52, first=1, classes=26)
    (tmp_path / "emnist-letters-mapping.txt").write_text(content)
    with pytest.raises(PipelineError, match=r"letters-mapping.txt must hold a label and the codes .*\.$"):
        recognized(tmp_path)


@pytest.mark.parametrize(
    ("name", "count", "last"),
    [
        ("balanced", 47, "t"),
        ("bymerge", 47, "t"),
        ("byclass", 62, "z"),
        ("digits", 10, "9"),
        ("mnist", 10, "9"),
    ],
)
def test_emnists_other_sets_have_the_names_that_are_published(
    tmp_path: Path, name: str, count: int, last: str
) -> None:
    write_pair(tmp_path, f"emnist-{name}-train", 2 * count, classes=count)
    classes = read_classes(recognized(tmp_path))
    assert (len(classes), classes[0], classes[-1]) == (count, "0", last)
    assert len(set(classes)) == count


def test_one_of_several_sets_is_chosen(tmp_path: Path) -> None:
    for name in ("letters", "digits"):
        for part in ("train", "test"):
            write_pair(tmp_path, f"emnist-{name}-{part}", 30)
    write_pair(tmp_path, "train", 40)
    listed = "emnist-digits, emnist-letters, plain"
    with pytest.raises(PipelineError, match=rf"must hold one data set but holds {listed}: set data\.subset"):
        recognized(tmp_path)
    with pytest.raises(
        PipelineError, match=rf"data\.subset .* but is 'emnist-x': set it to one of {listed}\."
    ):
        recognized(tmp_path, subset="emnist-x")
    assert "emnist-digits-train" in recognized(tmp_path, subset="emnist-digits").parts["train"].place
    plain = recognized(tmp_path, subset="plain")
    assert not plain.turned
    assert len(read_part(plain, "train")[0]) == 40


def test_qmnists_labels_are_the_first_column(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path / f"qmnist-{part}-images-idx3-ubyte.gz", images(30))
        extended = np.arange(30 * 8, dtype=np.int32).reshape(30, 8)
        extended[:, 0] = np.arange(30) % 10
        write(tmp_path / f"qmnist-{part}-labels-idx2-int.gz", extended)
    form = recognized(tmp_path)
    assert form.notes == ("labels are the first of QMNIST's 8 columns",)
    assert read_part(form, "train")[1].tolist() == list(range(10)) * 3


def test_colour_and_a_validation_part_are_read(tmp_path: Path) -> None:
    for part in ("train", "validation", "t10k"):
        write(tmp_path / f"{part}-images-idx4-ubyte", images(20, shape=(9, 7, 3)))
        write(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(20) % 2).astype(np.uint8))
    form = recognized(tmp_path)
    assert set(form.parts) == {"train", "validation", "test"}
    np.testing.assert_array_equal(read_part(form, "validation")[0], images(20, shape=(9, 7, 3)))


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "float32", "float64"])
def test_labels_are_numbers_of_any_type(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "train-images-idx3-ubyte", images(4))
    write(tmp_path / "train-labels-idx1-xyz", np.array([3, 0, 100, 7]).astype(kind))
    assert read_part(recognized(tmp_path), "train")[1].tolist() == [3, 0, 100, 7]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    write_pair(tmp_path, "train", 4)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    with pytest.raises(PipelineError, match=rf"is one of these files: give file://{tmp_path}\.$"):
        recognized(file)


@pytest.mark.parametrize(
    ("lost", "rest"),
    [
        ("train-labels-idx1-ubyte.gz", "train-images-idx3-ubyte.gz"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, lost: str, rest: str) -> None:
    for prefix in ("train", "t10k"):
        write_pair(tmp_path, prefix, 4)
    (tmp_path / lost).unlink()
    with pytest.raises(PipelineError, match=f"must hold {lost} for {rest} but does not: add it"):
        recognized(tmp_path)


def test_a_test_part_alone_is_refused(tmp_path: Path) -> None:
    write_pair(tmp_path, "t10k", 4)
    with pytest.raises(PipelineError, match="must hold the training part too but holds only test: add it"):
        recognized(tmp_path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (images(0), "images-idx3-ubyte must hold images but holds none: "),
        (images(5), "each image must have a label but there are 5 images in .* and 4 labels: "),
        (
            np.zeros((4, 5000, 5000), np.uint8),
            "values of one image must be at most 16,000,000 but is 25,000,000: ",
        ),
    ],
)
def test_images_that_cannot_be_are_refused(tmp_path: Path, array: NDArray[Any], message: str) -> None:
    write(tmp_path / "train-images-idx3-ubyte", array)
    write(tmp_path / "train-labels-idx1-ubyte", np.zeros(4 if len(array) else 0, np.uint8))
    with pytest.raises(PipelineError, match=message):
        recognized(tmp_path)


def test_another_file_under_mnists_name_is_refused(tmp_path: Path) -> None:
    write_pair(tmp_path, "train", 4)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"<html></html>")
    with pytest.raises(PipelineError, match=r"must start with an idx header, .* starts with 0x3c68746d: "):
        recognized(tmp_path)
