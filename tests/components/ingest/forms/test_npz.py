"""npz archives and npy files, as numpy writes them."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common import bounds
from components.common.errors import PipelineError
from tests.forms import read_classes, read_part, recognized

CHANCE = np.random.default_rng(0)
IMAGES = CHANCE.integers(0, 256, (40, 28, 28), dtype=np.uint8)
LABELS = (np.arange(40) % 4).astype(np.uint8)
COLOUR = CHANCE.integers(0, 256, (40, 9, 7, 3), dtype=np.uint8)


def npz(directory: Path, **arrays: Any) -> Path:
    np.savez_compressed(directory / "set.npz", **arrays)
    return directory / "set.npz"


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("trainX", "trainY", "testX", "testY"),
        ("training_data", "training_targets", "testing_data", "testing_targets"),
    ],
)
def test_the_usual_names_are_known(tmp_path: Path, names: tuple[str, ...]) -> None:
    arrays = dict(zip(names, (IMAGES, LABELS, IMAGES[:8], LABELS[:8]), strict=True))
    form = recognized(npz(tmp_path, **arrays))
    assert (form.kind, form.notes, set(form.parts)) == ("npz", (), {"train", "test"})
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES)
    assert read_part(form, "test")[1].tolist() == LABELS[:8].tolist()


def test_medmnists_six_arrays_are_three_parts(tmp_path: Path) -> None:
    parts = {"train": slice(0, 30), "val": slice(30, 35), "test": slice(35, 40)}
    arrays = {f"{part}_images": COLOUR[rows] for part, rows in parts.items()}
    arrays |= {f"{part}_labels": LABELS[rows, None] for part, rows in parts.items()}
    form = recognized(npz(tmp_path, **arrays))
    assert set(form.parts) == {"train", "validation", "test"}
    pixels, labels = read_part(form, "validation")
    np.testing.assert_array_equal(pixels, COLOUR[30:35])
    assert labels.tolist() == LABELS[30:35].tolist()


@pytest.mark.parametrize("missing", [np.full(8, -1), np.full((8, 1), np.nan), np.full(8, "", "U3")])
def test_a_test_part_without_labels_is_left_out(tmp_path: Path, missing: NDArray[Any]) -> None:
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:8]}
    form = recognized(npz(tmp_path, **arrays, y_test=missing))
    assert (set(form.parts), form.notes) == ({"train"}, ("test has no labels: left out",))
    missing = missing.copy()
    missing[2] = "1" if missing.dtype.kind == "U" else 1
    with pytest.raises(
        PipelineError, match="each image must have a label but 7 of 8 have none, number 0 first"
    ):
        read_part(recognized(npz(tmp_path, **arrays, y_test=missing)), "test")


def test_several_labels_an_image_are_refused(tmp_path: Path) -> None:
    chest = CHANCE.integers(0, 2, (40, 14), dtype=np.uint8)
    form = recognized(npz(tmp_path, train_images=IMAGES, train_labels=chest))
    with pytest.raises(
        PipelineError, match=r"one class for each image, .* but are 40 x 14 .* several labels"
    ):
        read_part(form, "train")


def test_classes_are_named_by_an_array_of_texts(tmp_path: Path) -> None:
    names = ["ankle boot", "bag", "coat", "dress"]
    for kind in ("U", "S"):
        path = npz(tmp_path, images=IMAGES, labels=LABELS, class_names=np.array(names, kind))
        assert read_classes(recognized(path)) == tuple(names)


def test_other_arrays_are_noted(tmp_path: Path) -> None:
    path = npz(tmp_path, images=IMAGES, labels=LABELS, writer=LABELS, meta=np.array({}))
    assert recognized(path).notes == ("not read: writer, meta",)


def test_other_names_are_listed_with_their_shapes(tmp_path: Path) -> None:
    path = npz(tmp_path, a=IMAGES, b=np.zeros(()), c=np.array({}))
    expected = (
        "must hold x_train and y_train, .* but holds a, 40 x 28 x 28 of type uint8; b, one value of type float64; "
        "c, no array of numbers or texts: rename the arrays"
    )
    with pytest.raises(PipelineError, match=expected):
        recognized(path)


def test_kuzushijis_files_of_one_array_are_a_set_with_names(tmp_path: Path) -> None:
    for part, rows in (("train", slice(0, 30)), ("test", slice(30, 40))):
        np.savez_compressed(tmp_path / f"k49-{part}-imgs.npz", IMAGES[rows])
        np.savez_compressed(tmp_path / f"k49-{part}-labels.npz", LABELS[rows])
    assert read_classes(recognized(tmp_path)) == ("0", "1", "2", "3")
    characters = "おきすつ"
    lines = [f"{place},U+{ord(name):X},{name}" for place, name in enumerate(characters)]
    (tmp_path / "k49_classmap.csv").write_text(
        "\n".join(["index,codepoint,char", *lines]), encoding="utf-8-sig"
    )
    form = recognized(tmp_path)
    assert read_classes(form) == tuple(characters)
    np.testing.assert_array_equal(read_part(form, "test")[0][..., 0], IMAGES[30:])
    (tmp_path / "k49_classmap.csv").write_text("index,char\n1,a\n")
    with pytest.raises(
        PipelineError, match="k49_classmap.csv must name each class in the columns index and char"
    ):
        recognized(tmp_path)


def test_npy_files_in_a_directory_are_a_set(tmp_path: Path) -> None:
    for name, array in {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:4]}.items():
        np.save(tmp_path / f"{name}.npy", array)
    form = recognized(tmp_path)
    assert form.notes == ("test has no labels: left out",)
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES)
    with pytest.raises(
        PipelineError, match=r"is a single array: give the directory that holds images and labels"
    ):
        recognized(tmp_path / "x_train.npy")


def test_an_archive_is_found_in_its_directory_and_one_of_several_is_chosen(tmp_path: Path) -> None:
    for name in ("breastmnist", "bloodmnist"):
        np.savez(tmp_path / f"{name}.npz", train_images=IMAGES, train_labels=LABELS)
    with pytest.raises(PipelineError, match="holds bloodmnist, breastmnist: set data.subset to one of them"):
        recognized(tmp_path)
    assert "breastmnist.npz: train_images" in recognized(tmp_path, subset="breastmnist").parts["train"].place


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": IMAGES, "y_train": LABELS[:-1]}, "there are 40 images in .*x_train and 39 labels"),
        ({"x_test": IMAGES, "y_test": LABELS}, "must hold x_train and y_train, "),
        ({"images": IMAGES, "labels": LABELS, "y_test": LABELS}, "must hold images of the test part too"),
        (
            {"images": IMAGES, "x": IMAGES, "labels": LABELS},
            "must be one array of images for the train part but",
        ),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "images must hold images but holds none"),
        (
            {"images": IMAGES, "labels": np.array([{}] * 40)},
            "labels must hold numbers or texts but holds Python obj",
        ),
        (
            {"images": np.zeros(40, "f4,f4"), "labels": LABELS},
            "images must hold numbers or texts but holds values",
        ),
        (
            {"images": np.zeros((1, 5000, 5000), np.uint8), "labels": LABELS[:1]},
            "values of one image must be at most",
        ),
    ],
)
def test_arrays_that_make_no_set_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError, match=rf"{message}.*\.$"):
        recognized(npz(tmp_path, **arrays))


@pytest.mark.parametrize(
    "images",
    [np.asfortranarray(IMAGES), np.moveaxis(IMAGES, 0, 2).copy().transpose(2, 0, 1), IMAGES.astype(">i8")],
)
def test_order_and_bytes_of_any_machine_are_read(tmp_path: Path, images: NDArray[Any]) -> None:
    form = recognized(npz(tmp_path, images=images, labels=LABELS))
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES)


def test_a_large_array_in_fortrans_order_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = recognized(npz(tmp_path, images=np.asfortranarray(IMAGES), labels=LABELS))
    monkeypatch.setattr("components.common.data.npy.LARGEST_IN_MEMORY", IMAGES.nbytes - 1)
    with pytest.raises(PipelineError, match=r"images: bytes to read at once must be at most .* in C order"):
        read_part(form, "train")


def test_an_image_of_wide_numbers_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.ingest.arrays.LARGEST_IN_MEMORY", 784)
    assert recognized(npz(tmp_path, images=IMAGES, labels=LABELS))
    with pytest.raises(PipelineError, match="bytes of one image must be at most 784 but is 1,568"):
        recognized(npz(tmp_path, images=IMAGES.astype(np.uint16), labels=LABELS))


def test_rows_are_read_chunk_by_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.ingest.form.CHUNK_BYTES", 3 * 784)
    form = recognized(npz(tmp_path, images=IMAGES, labels=LABELS))
    assert [len(labels) for _, labels in form.parts["train"].chunks()] == [3] * 13 + [1]
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES)


def test_what_a_header_announces_is_checked_before_it_is_inflated(tmp_path: Path) -> None:
    header = io.BytesIO()
    shape = (bounds.LARGEST_PART // 784 + 1, 28, 28)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    np.save(tmp_path / "y_train.npy", LABELS)
    (tmp_path / "x_train.npy").write_bytes(header.getvalue())
    with pytest.raises(PipelineError, match="announced bytes must be at most"):
        recognized(tmp_path)
    np.save(tmp_path / "x_train.npy", IMAGES)
    (tmp_path / "x_train.npy").write_bytes((tmp_path / "x_train.npy").read_bytes()[:-1])
    with pytest.raises(PipelineError, match="must hold 31360 bytes after its header but holds 31359: "):
        recognized(tmp_path)


def test_another_file_with_an_npzs_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(b"<html></html>")
    with pytest.raises(PipelineError, match="must be an npz archive but is 13 other bytes: "):
        recognized(tmp_path / "set.npz")


def test_a_zip_of_other_files_is_left_to_others(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("README", "no arrays")
    with pytest.raises(PipelineError, match="is a directory that holds README: "):
        recognized(tmp_path / "set.zip")


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_an_error_of_one_line(tmp_path: Path, seed: int) -> None:
    path = npz(tmp_path, images=IMAGES, labels=LABELS)
    content, chance = np.fromfile(path, np.uint8), np.random.default_rng(seed)
    content[chance.integers(len(content), size=20)] += 1
    content.tofile(path)
    with pytest.raises(PipelineError, match=r"^[^\n]* must [^\n]*\.$"):
        read_part(recognized(path), "train")


def test_an_archive_for_each_part_is_one_data_set(tmp_path: Path) -> None:
    for part, rows in {"train": slice(0, 30), "test": slice(30, 40)}.items():
        np.savez(tmp_path / f"{part}.npz", x=IMAGES[rows], y=LABELS[rows])
    form = recognized(tmp_path)
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES[:30])
    assert read_part(form, "test")[1].tolist() == LABELS[30:].tolist()
