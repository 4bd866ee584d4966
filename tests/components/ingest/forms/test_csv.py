"""CSV files of pixels, as Kaggle, OpenML and pandas give data sets out."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from components.common.errors import PipelineError
from components.ingest.forms import delimited
from tests.forms import read_classes, read_part, recognized

CHANCE = np.random.default_rng(0)
# Images like digits: bright in the middle, and black at the border.
IMAGES = np.zeros((40, 8, 8), np.uint8)
IMAGES[:, 2:6, 2:6] = CHANCE.integers(0, 256, (40, 4, 4))
LABELS = np.arange(40) % 4


def frame(images: NDArray[Any] = IMAGES, labels: Any = LABELS, **places: Any) -> pd.DataFrame:
    """Return rows of pixels; the column of labels has the name and place that `places` gives, such as label=0."""
    pixels = images.reshape(len(images), -1)
    table = pd.DataFrame(pixels, columns=[f"pixel{place}" for place in range(pixels.shape[1])])
    for name, place in (places or {"label": 0}).items():
        table.insert(place if place >= 0 else table.shape[1], name, labels)
    return table


@pytest.mark.parametrize("column", [{"label": 0}, {"class": -1}, {"Target": 0}, {"y": -1}, {"kind": 3}])
@pytest.mark.parametrize(
    "options", [{}, {"sep": ";"}, {"sep": "\t"}, {"encoding": "utf-8-sig"}, {"quoting": 1}]
)
def test_a_header_says_where_the_label_is(tmp_path: Path, column: Any, options: dict[str, Any]) -> None:
    frame(**column).to_csv(tmp_path / "set.csv", index=False, **options)
    form = recognized(tmp_path / "set.csv")
    assert (form.kind, form.notes, form.turned) == ("csv", (), False)
    pixels, labels = read_part(form, "train")
    np.testing.assert_array_equal(pixels[..., 0], IMAGES)
    assert labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(("place", "end"), [(0, "first"), (-1, "last")])
def test_without_a_header_the_column_that_is_no_border_is_the_label(
    tmp_path: Path, place: int, end: str
) -> None:
    frame(label=place).to_csv(tmp_path / "set.csv", index=False, header=False)
    form = recognized(tmp_path / "set.csv")
    assert form.notes == (f"there is no line of names: the {end} column was taken for the label",)
    pixels, labels = read_part(form, "train")
    np.testing.assert_array_equal(pixels[..., 0], IMAGES)
    assert labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("place", [0, -1])
def test_without_a_header_names_are_labels(tmp_path: Path, place: int) -> None:
    photos = CHANCE.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    names = [("cat", "dog")[label % 2] for label in LABELS]
    frame(photos, names, label=place).to_csv(tmp_path / "set.csv", index=False, header=False)
    assert read_classes(recognized(tmp_path / "set.csv")) == ("cat", "dog")


@pytest.mark.parametrize("labels", [LABELS, np.sort(LABELS), np.zeros(40, int)])
def test_without_a_header_and_borders_the_label_is_not_guessed(tmp_path: Path, labels: NDArray[Any]) -> None:
    photos = CHANCE.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    frame(photos, labels).to_csv(tmp_path / "set.csv", index=False, header=False)
    with pytest.raises(PipelineError, match="which column is the label but the first and the last may be: "):
        recognized(tmp_path / "set.csv")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_directory_has_a_file_for_each_part(tmp_path: Path, suffix: str) -> None:
    frame().to_csv(tmp_path / f"mnist_train{suffix}", index=False)
    frame(IMAGES[:8], LABELS[:8]).to_csv(tmp_path / f"mnist_test{suffix}", index=False)
    form = recognized(tmp_path)
    assert {part: len(read_part(form, part)[0]) for part in form.parts} == {"train": 40, "test": 8}


def test_kaggles_test_file_has_no_labels_and_is_left_out(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "train.csv", index=False)
    frame(IMAGES[:8], LABELS[:8]).drop(columns="label").to_csv(tmp_path / "test.csv", index_label="id")
    pd.DataFrame({"ImageId": [1, 2], "Label": [0, 0]}).to_csv(tmp_path / "sample_submission.csv", index=False)
    form = recognized(tmp_path)
    assert set(form.parts) == {"train"}
    assert form.notes == ("not read: sample_submission.csv", "test has no labels: left out")


def test_numbers_of_the_rows_are_left_out(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "set.csv")
    form = recognized(tmp_path / "set.csv")
    assert form.notes == ("left out is the column without a name",)
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES)


def test_fractions_of_255_are_pixels(tmp_path: Path) -> None:
    frame(IMAGES / 255).to_csv(tmp_path / "set.csv", index=False, float_format="%g")
    form = recognized(tmp_path / "set.csv")
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES)


def test_emnists_files_are_turned_and_named(tmp_path: Path) -> None:
    for name in ("letters", "balanced"):
        frame(labels=LABELS + 1).to_csv(tmp_path / f"emnist-{name}-train.csv", index=False, header=False)
    form = recognized(tmp_path, subset="emnist-letters")
    assert form.turned
    assert read_classes(form) == ("a", "b", "c", "d")
    assert recognized(tmp_path / "emnist-letters-train.csv").turned
    with pytest.raises(PipelineError, match="holds emnist-balanced, emnist-letters: set data.subset"):
        recognized(tmp_path)


def changed(lines: list[str], number: int, old: str, new: str) -> str:
    """Return the file with one line changed; the header is line 1."""
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("number", [2, 30, 41])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",0,0,", ",0,", "line {} must have 65 values, .* but has 64 values: "),
        (",0,", ",x,", "line {} must have 65 values, .* but has 'x': "),
        (",0,", ",256,", "line {} must have 65 values, .* but has '256': "),
        (",0,", ",-1,", "line {} must have 65 values, .* but has '-1': "),
        (",0,", ",nan,", "pixel0 in row {} has none: leave the row out"),
        (",0,", ",,", "pixel0 in row {} has none: leave the row out"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, number: int, old: str, new: str, message: str) -> None:
    lines = frame().to_csv(index=False).splitlines()
    (tmp_path / "set.csv").write_text(changed(lines, number, old, new))
    expected = message.format(number if "line" in message else number - 2)
    with pytest.raises(PipelineError, match=rf"{expected}.*\.$"):
        read_part(recognized(tmp_path / "set.csv"), "train")


def test_a_missing_label_is_named(tmp_path: Path) -> None:
    table = frame().astype({"label": "Int64"})
    table.loc[5, "label"] = pd.NA
    table.to_csv(tmp_path / "set.csv", index=False)
    with pytest.raises(
        PipelineError, match="each image must have a label but 1 of 40 have none, number 5 first"
    ):
        read_part(recognized(tmp_path / "set.csv"), "train")


def test_colours_in_rows_are_refused(tmp_path: Path) -> None:
    colour = CHANCE.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    frame(colour).to_csv(tmp_path / "set.csv", index=False)
    with pytest.raises(PipelineError, match="192 columns of pixels, which may be colours in any order: "):
        recognized(tmp_path / "set.csv")


@pytest.mark.parametrize(
    "content", ["a,b,label\n1,2,3\n", "\n", "", "1,2\n", ",,,,,,,,,,,,,,,,,,,,\0\n", "x" * 2**18 + "," * 20]
)
def test_other_tables_are_no_data_set(tmp_path: Path, content: str) -> None:
    (tmp_path / "set.csv").write_text(content)
    with pytest.raises(PipelineError, match="must hold idx files"):
        recognized(tmp_path / "set.csv")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_line_without_an_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    content = (frame().to_csv(index=False) + "1" * 5000).encode()
    path = tmp_path / f"set{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    for bound in ("CHUNK_BYTES", "FIRST_BYTES"):
        monkeypatch.setattr(delimited, bound, 2000)
    with pytest.raises(
        PipelineError, match="the bytes of a line must be at most 2,000 but is .*: write an npz"
    ):
        read_part(recognized(path), "train")


def test_several_files_of_a_part_are_refused(tmp_path: Path) -> None:
    for suffix in (".csv", ".csv.gz"):
        frame().to_csv(tmp_path / f"train{suffix}", index=False)
    with pytest.raises(
        PipelineError, match=r"one file for the train part but there are .*train.csv, .*train.csv.gz: "
    ):
        recognized(tmp_path)


@pytest.mark.parametrize("kept", [0.4, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    content = gzip.compress(frame().to_csv(index=False).encode())
    (tmp_path / "set.csv.gz").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(PipelineError, match=r"set.csv.gz must be intact but is not \("):
        read_part(recognized(tmp_path / "set.csv.gz"), "train")


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("label", ["label", None])
def test_a_line_that_counts_the_columns_is_a_line_of_names(
    tmp_path: Path, start: int, label: str | None
) -> None:
    table = frame()
    pixels = [str(start + place) for place in range(64 + (label is None))]
    table.columns = pd.Index([label, *pixels] if label else pixels)
    table.to_csv(tmp_path / "set.csv", index=False)
    form = recognized(tmp_path / "set.csv")
    assert bool(form.notes) is (label is None)
    pixels_read, labels = read_part(form, "train")
    np.testing.assert_array_equal(pixels_read[..., 0], IMAGES)
    assert labels.tolist() == LABELS.tolist()


def test_a_label_that_is_called_as_a_pixel_is_asked_for(tmp_path: Path) -> None:
    table = frame()
    table.columns = pd.Index([f"pixel{place}" for place in range(65)])
    table.to_csv(tmp_path / "set.csv", index=False)
    with pytest.raises(PipelineError, match="all its 65 columns are called as pixels are: name that"):
        recognized(tmp_path / "set.csv")


def test_json_is_no_csv(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text(f"[{', '.join(map(str, range(40)))}]")
    with pytest.raises(PipelineError, match="must hold idx files"):
        recognized(tmp_path / "set.json")
