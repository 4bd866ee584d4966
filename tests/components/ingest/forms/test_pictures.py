"""Directories of pictures that real writers made, in every layout; damaged and odd ones."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from components.common import child_processes
from components.common.data.picture import decode_picture, resized
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest import decoding
from components.ingest import form as form_module
from components.ingest.detect import recognize as detected
from components.ingest.form import Form, Place
from components.ingest.forms import pictures

RNG = np.random.default_rng(5)
# What Pillow does not know by the ending.
FORMATS = {"jfif": "JPEG"}


def save(path: Path, *, size: tuple[int, int] = (8, 8), mode: str = "L", **options: Any) -> NDArray[np.uint8]:
    """Save noise of height x width, and return what is read of it."""
    shape = size if mode == "L" else (*size, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).convert(mode).save(path, **options)
    return decode_picture(path.read_bytes(), str(path))


def recognized(path: Path, **options: Any) -> Form:
    form = pictures.recognize(Place(path, "it"), DataPlan(**options), path.with_name(f"{path.name}-scratch"))
    assert form is not None
    return form


def read(form: Form, part: str = "train") -> tuple[NDArray[np.uint8], list[str]]:
    images, labels = zip(*form.parts[part].chunks(), strict=True)
    return np.concatenate(images), np.concatenate(labels).tolist()


def test_a_directory_for_each_class(tmp_path: Path) -> None:
    expected = [save(tmp_path / name) for name in ("10/a.png", "2/a.png", "2/b.png")]
    form = recognized(tmp_path)
    images, labels = read(form)
    assert (form.kind, form.uri, form.names, form.notes, list(form.parts)) == (
        "pictures",
        "it",
        (),
        (),
        ["train"],
    )
    assert labels == ["10", "2", "2"]
    np.testing.assert_array_equal(images, expected)
    assert images.shape == (3, 8, 8, 1)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "VALID", "Testing"), ("TRAIN", "validation", "Test")],
)
def test_a_directory_for_each_part(tmp_path: Path, train: str, validation: str, test: str) -> None:
    named = {"train": train, "validation": validation, "test": test}
    for number, name in enumerate(named.values()):
        for pet in ("cat", "dog"):
            for file in range(number + 1):
                save(tmp_path / name / pet / f"{file}.png")
    form = recognized(tmp_path)
    assert {part: len(read(form, part)[1]) for part in form.parts} == {"train": 2, "validation": 4, "test": 6}
    assert {part: form.parts[part].place for part in named} == {
        part: f"it/{name}" for part, name in named.items()
    }
    assert form.notes == ()


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_pictures_in_an_archive_below_other_directories(tmp_path: Path, kind: str) -> None:
    for name in ("train/cat/1.png", "train/dog/1.png", "test/cat/1.png"):
        save(tmp_path / "source" / "pets" / name)
    save(tmp_path / "source" / "docs" / "figure.png")
    made = Path(shutil.make_archive(str(tmp_path / "made"), kind, tmp_path / "source"))
    form = detected(Place(made, "it"), DataPlan(), tmp_path / "scratch")
    assert (form.kind, form.uri, sorted(form.parts)) == ("pictures", "it/pets", ["test", "train"])
    assert read(form)[1] == ["cat", "dog"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".bmp", ".webp", ".tiff"])
def test_formats_that_keras_saves(tmp_path: Path, suffix: str) -> None:
    for pet in ("cat", "dog"):
        (tmp_path / pet).mkdir()
        keras.utils.save_img(tmp_path / pet / f"1{suffix}", RNG.integers(0, 256, (9, 7, 3)))
    images, labels = read(recognized(tmp_path))
    assert (images.shape, labels) == ((2, 9, 7, 3), ["cat", "dog"])


def test_files_that_keras_skips_without_a_word_are_read(tmp_path: Path) -> None:
    for name in ("cat/1.tif", "cat/2.webp", "dog/1.png"):
        save(tmp_path / name)
    assert len(keras.utils.image_dataset_from_directory(tmp_path, batch_size=1, verbose=False)) == 1
    assert read(recognized(tmp_path))[1] == ["cat", "cat", "dog"]


def test_the_content_and_not_the_suffix_says_the_format(tmp_path: Path) -> None:
    expected = [
        save(tmp_path / "cat" / "1.png", format="JPEG"),
        save(tmp_path / "dog" / "1.jpg", format="PNG"),
    ]
    np.testing.assert_array_equal(read(recognized(tmp_path))[0], expected)


MODES = [
    ("L", ".png", 1),
    ("RGB", ".png", 3),
    ("RGBA", ".png", 3),
    ("LA", ".png", 1),
    ("P", ".png", 3),
    ("1", ".png", 1),
    ("CMYK", ".jpg", 3),
    ("YCbCr", ".jpg", 3),
    ("L", ".jpg", 1),
    ("P", ".bmp", 3),
    ("RGBA", ".webp", 3),
    ("CMYK", ".tif", 3),
    ("1", ".tif", 1),
]


@pytest.mark.parametrize(("mode", "suffix", "channels"), MODES)
def test_modes(tmp_path: Path, mode: str, suffix: str, channels: int) -> None:
    expected = [save(tmp_path / name / f"1{suffix}", mode=mode) for name in "ab"]
    images, _ = read(recognized(tmp_path))
    assert images.shape[3] == channels
    np.testing.assert_array_equal(images, expected)


def test_16_bits_and_a_palette_of_greys_are_grey(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    Image.fromarray(np.full((8, 8), 257 * 9, np.uint16)).save(tmp_path / "a" / "1.png")
    Image.fromarray(np.full((8, 8), 9, np.uint8)).convert("P").save(tmp_path / "b" / "1.png")
    images, _ = read(recognized(tmp_path))
    np.testing.assert_array_equal(images, np.full((2, 8, 8, 1), 9))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_picture_that_lies_is_turned(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "ab":
        save(tmp_path / name / f"1{suffix}", size=(6, 9), exif=exif)
    form = recognized(tmp_path)
    assert read(form)[0].shape[:3] == (2, 9, 6)
    assert form.notes == ()


def test_one_colour_picture_makes_the_set_colour(tmp_path: Path) -> None:
    grey, colour = save(tmp_path / "a" / "1.png"), save(tmp_path / "b" / "1.png", mode="RGB")
    form = recognized(tmp_path)
    np.testing.assert_array_equal(read(form)[0], [np.repeat(grey, 3, axis=2), colour])
    assert form.notes == ("1 of 2 pictures are in colour: all are taken as such",)


def test_transparency_is_laid_on_white_and_said(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / name / "1.png")
    form = recognized(tmp_path)
    assert read(form)[0].min() == 255
    assert form.notes == ("2 of 2 pictures can be transparent: they are laid on white",)


def sized(directory: Path, *sizes: tuple[int, int], **options: Any) -> Form:
    for number, size in enumerate(sizes):
        save(directory / "ab"[number % 2] / f"{number}.png", size=size)
    return recognized(directory, **options)


def test_the_most_common_size_is_taken_and_said(tmp_path: Path) -> None:
    form = sized(tmp_path, (9, 12), (8, 8), (9, 12), (20, 20))
    assert read(form)[0].shape == (4, 9, 12, 1)
    assert form.notes == (
        "the pictures have 3 sizes, of which 9 x 12 is the most common, with 2 of 4: all are resized to 9 x 12, at "
        "most 64 a side; data.size decides otherwise",
    )


def test_of_two_sizes_as_common_the_smaller_is_taken(tmp_path: Path) -> None:
    assert read(sized(tmp_path, (30, 4), (9, 9), (9, 9), (30, 4)))[0].shape == (4, 9, 9, 1)


def test_a_large_size_is_fitted_and_said(tmp_path: Path) -> None:
    form = sized(tmp_path, (96, 128), (96, 128))
    assert read(form)[0].shape == (2, 48, 64, 1)
    assert form.notes == (
        "the pictures of 96 x 128 are resized to 48 x 64, at most 64 a side; data.size decides otherwise",
    )


def test_a_size_that_is_asked_for(tmp_path: Path) -> None:
    form = sized(tmp_path / "small", (8, 8), (8, 8), size=80)
    assert read(form)[0].shape == (2, 80, 80, 1)
    assert form.notes == ("the pictures of 8 x 8 are resized to 80 x 80",)
    assert sized(tmp_path / "same", (8, 8), (8, 8), size=8).notes == ()


def test_files_that_are_no_pictures_are_left_out_and_said(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png", "cover.png"):
        save(tmp_path / name)
    for name in ("cat/.DS_Store", "cat/Thumbs.db", ".git/x.png", "__MACOSX/cat/._1.png", "dog/.hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    for name in ("readme.md", "cat/a.txt", "dog/b.svg"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    form = recognized(tmp_path)
    assert read(form)[1] == ["cat", "dog"]
    assert form.notes == (
        "left out are the directories without a picture: it/empty",
        "left out are the files that are no pictures in a class's directory: it/cover.png, it/readme.md, it/cat/a.txt "
        "and 1 more",
    )


def test_unlabelled_test_pictures_are_left_out_and_said(tmp_path: Path) -> None:
    """Keras would make two classes of these names."""
    for name in ("train/cat/1.png", "train/dog/1.png", "test/1.png", "extra/1.png"):
        save(tmp_path / name)
    form = recognized(tmp_path)
    assert list(form.parts) == ["train"]
    assert form.notes == (
        "it/extra is left out",
        "it/test is left out: its pictures lie in no directories of classes",
    )


def test_a_class_may_have_a_parts_name(tmp_path: Path) -> None:
    for name in ("train/1.png", "bus/1.png"):
        save(tmp_path / name)
    assert read(recognized(tmp_path))[1] == ["bus", "train"]


@pytest.mark.parametrize(
    "names", [[], ["1.png"], ["raw/readme.txt"], ["a/b/c/1.png"], ["docs/1.png", "data/raw/x.bin"]]
)
def test_other_directories_are_none_of_pictures(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        save(tmp_path / name) if name.endswith(".png") else (tmp_path / name).parent.mkdir(parents=True)
    assert pictures.recognize(Place(tmp_path, "it"), DataPlan(), tmp_path / "scratch") is None
    (tmp_path / "file").write_bytes(b"x")
    assert pictures.recognize(Place(tmp_path / "file", "it"), DataPlan(), tmp_path / "scratch") is None


def test_parts_without_classes_are_refused(tmp_path: Path) -> None:
    for name in ("train/1.png", "test/1.png"):
        save(tmp_path / name)
    with pytest.raises(
        PipelineError,
        match=r"^it must hold a directory for each class but holds only test and train, with pictures in them: ",
    ):
        recognized(tmp_path)


def test_a_directory_in_a_class_is_refused(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png", "dog/small/1.png"):
        save(tmp_path / name)
    with pytest.raises(
        PipelineError,
        match=r"^it/dog must hold the pictures of one class but holds the directory 'small': give each class one ",
    ):
        recognized(tmp_path)


def test_two_directories_of_one_part_are_refused(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "val/cat/1.png", "valid/cat/1.png"):
        save(tmp_path / name)
    with pytest.raises(
        PipelineError, match=r"^it must hold one directory for each part but val and valid are the same: "
    ):
        recognized(tmp_path)


def test_a_damaged_picture_is_refused_with_its_address(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png"):
        save(tmp_path / name)
    content = (tmp_path / "dog/1.png").read_bytes()
    (tmp_path / "dog/1.png").write_bytes(content[:-30])
    with pytest.raises(PipelineError, match=r"^it/dog/1.png must be a PNG, .* but cannot be read \(.+\): "):
        read(recognized(tmp_path))
    (tmp_path / "dog/1.png").write_bytes(b"no picture")
    with pytest.raises(PipelineError, match=r"^it/dog/1.png must be a PNG, .* but cannot be read \(.+\): "):
        recognized(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png"):
        save(tmp_path / name)
    (tmp_path / "cat" / "2.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(
        PipelineError,
        match=r"^it/cat/2.png must be a file that can be read but is not \(No such file or directory\)",
    ):
        recognized(tmp_path)


def test_large_files_are_read_whole(tmp_path: Path) -> None:
    expected = [save(tmp_path / name / "1.png", size=(150, 150)) for name in "ab"]
    assert (tmp_path / "a" / "1.png").stat().st_size > 2 * decoding.FIRST_READ
    np.testing.assert_array_equal(read(recognized(tmp_path, size=150))[0], expected)


@pytest.mark.parametrize("last", ["size", "colour", "format"])
def test_one_picture_of_another_kind_among_many_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """The sample, which is the first of each job, is alike; so all are read anew."""
    monkeypatch.setattr(pictures, "MOST_TOGETHER", 7)
    expected = [save(tmp_path / "ab"[number // 20] / f"{number:03}.png") for number in range(40)]
    odd = tmp_path / "b" / "038.png"
    expected[38] = save(
        odd,
        size=(9, 9) if last == "size" else (8, 8),
        mode="RGB" if last == "colour" else "L",
        format="BMP" if last == "format" else "PNG",
    )
    form = recognized(tmp_path)
    images, labels = read(form)
    assert labels == ["a"] * 20 + ["b"] * 20
    target = (8, 8, 3 if last == "colour" else 1)
    np.testing.assert_array_equal(images, [resized(image, *target) for image in expected])
    assert len(form.notes) == (last != "format")


def test_chunks_hold_a_few_mebibytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form_module, "CHUNK_BYTES", 3 * 64)
    expected = [save(tmp_path / "ab"[number // 5] / f"{number}.png") for number in range(9)]
    chunks = list(recognized(tmp_path).parts["train"].chunks())
    assert [labels.tolist() for _, labels in chunks] == [["a"] * 3, ["a", "a", "b"], ["b"] * 3]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in chunks]), expected)


def test_too_little_room_on_the_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat/1.png", "dog/1.png"):
        save(tmp_path / name)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(
        PipelineError, match=r"^the bytes of 2 decoded pictures must be at most 100 but is 128: "
    ):
        recognized(tmp_path)


@pytest.mark.parametrize("size", [None, 5])
def test_processes_share_the_work_and_report_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    expected = [save(tmp_path / f"{number // 100}" / f"{number:03}.png") for number in range(300)]
    alone = read(recognized(tmp_path, size=size))
    monkeypatch.setattr(pictures, "MOST_TOGETHER", 2)
    monkeypatch.setattr(decoding, "MANY_PIXELS", 0)
    monkeypatch.setattr(child_processes, "cores", lambda: 2)
    # Wait until it has started, so that both have a share.
    assert child_processes.spare_pool().submit(abs, -1).result() == 1
    images, labels = read(recognized(tmp_path, size=size))
    np.testing.assert_array_equal(images, alone[0])
    assert labels == alone[1]
    if not size:
        np.testing.assert_array_equal(images, expected)
    (tmp_path / "1" / "131.png").write_bytes(b"no picture")
    with pytest.raises(PipelineError, match=r"^it/1/131.png must be a PNG"):
        recognized(tmp_path, size=size)


@pytest.mark.parametrize("ending", ["gif", "pgm", "jfif"])
def test_further_formats_are_read(tmp_path: Path, ending: str) -> None:
    expected = [
        save(tmp_path / name, format=FORMATS.get(ending)) for name in (f"a/1.{ending}", f"b/1.{ending}")
    ]
    np.testing.assert_array_equal(read(recognized(tmp_path))[0], expected)


def test_16_bits_that_hold_values_of_8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((8, 8), 250, np.uint16)).save(tmp_path / "a/1.png")
    save(tmp_path / "b/1.png")
    with pytest.raises(
        PipelineError, match="a/1.png must use the range of its 16 bits but its largest value is 250"
    ):
        recognized(tmp_path)


def test_a_named_pipe_is_no_picture_and_nobody_waits_for_it(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        save(tmp_path / name)
    os.mkfifo(tmp_path / "a/2.png")
    with pytest.raises(PipelineError, match="a/2.png must be a PNG"):
        recognized(tmp_path)


@pytest.mark.parametrize(
    "names", [("seg_train", "seg_test"), ("training_set", "test_set"), ("x-train/x", "x-test/x")]
)
def test_parts_may_have_longer_names(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        for label in "ab":
            save(tmp_path / name / label / "1.png")
    form = recognized(tmp_path)
    assert set(form.parts) == {"train", "test"}
    assert [read(form, part)[1] for part in ("train", "test")] == [["a", "b"], ["a", "b"]]


def test_pictures_beside_a_list_of_their_labels_are_refused_with_a_way_out(tmp_path: Path) -> None:
    save(tmp_path / "images/1.png")
    (tmp_path / "labels.csv").write_text("filename,label\n1.png,a\n")
    with pytest.raises(
        PipelineError, match="only images has pictures: sort these into directories of classes"
    ):
        recognized(tmp_path)
