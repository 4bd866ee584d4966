"""Intake of recognized data sets."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.raw_data import open_part
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.digits import digits_form
from components.ingest.form import Chunk, Form, Part
from components.ingest.intake import take_in
from tests.records import COLOUR, random_split


def form(parts: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], **more: Any) -> Form:
    """A form that yields three images at a time."""

    def part(name: str, images: NDArray[Any], labels: NDArray[Any]) -> Part:
        def chunks() -> Iterator[Chunk]:
            for start in range(0, len(images), 3):
                yield images[start : start + 3], labels[start : start + 3]

        return Part(f"file:///x/{name}", chunks)

    found = {name: part(name, *arrays) for name, arrays in parts.items()}
    return Form("made up", "file:///x", found, **more)


def colour(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    split = random_split(count, seed, COLOUR)
    return split.images, np.array(COLOUR.classes)[split.labels]


def test_parts_are_written_with_the_spec_that_the_data_says(tmp_path: Path) -> None:
    parts = {part: colour(9, seed) for seed, part in enumerate(("train", "validation", "test"))}
    taken = take_in(form(parts), DataPlan(), tmp_path)
    assert (taken.spec, taken.notes) == (COLOUR, ())
    for part, (images, labels) in parts.items():
        found = open_part(tmp_path, part, taken.spec)
        np.testing.assert_array_equal(found.images, images)
        assert [COLOUR.classes[label] for label in found.labels] == labels.tolist()
    assert len(list(tmp_path.iterdir())) == 6


def test_without_a_test_part_one_is_held_out(tmp_path: Path) -> None:
    images, labels = colour(120)
    taken = take_in(form({"train": (images, labels)}), DataPlan(), tmp_path)
    train, test = (open_part(tmp_path, part, taken.spec) for part in ("train", "test"))
    assert len(train.labels) + len(test.labels) == 120
    assert taken.notes == (
        f"there is no test part: {len(test.labels)} of 120 images were held out, by their content",
    )
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    for part in (train, test):
        for image, label in zip(part.images, part.labels, strict=True):
            assert known.pop(image.tobytes()) == COLOUR.classes[label]
    assert not known


def test_images_are_resized_where_that_is_asked_for(tmp_path: Path) -> None:
    taken = take_in(form({"train": colour(9), "test": colour(9, 1)}), DataPlan(size=16), tmp_path)
    assert taken.spec.shape == (16, 16, 3)
    found, (images, _) = open_part(tmp_path, "train", taken.spec), colour(9)
    assert np.abs(found.images[0].mean() - images[0].mean()) < 2


@pytest.mark.parametrize(
    ("asked", "known", "stored", "turned_back"),
    [
        (None, False, "transposed", True),
        (None, True, "transposed", True),
        (None, True, "upright", False),
        (None, False, "upright", False),
        (True, False, "upright", True),
        (False, True, "transposed", False),
    ],
)
def test_digits_are_turned_upright_or_as_asked(
    tmp_path: Path, asked: bool | None, stored: str, *, known: bool, turned_back: bool
) -> None:
    parts = {name: next(part.chunks()) for name, part in digits_form().parts.items()}
    if stored == "transposed":
        parts = {name: (images.swapaxes(1, 2), labels) for name, (images, labels) in parts.items()}
    taken = take_in(form(parts, turned=known), DataPlan(transpose=asked), tmp_path)
    expected = parts["test"][0].swapaxes(1, 2) if turned_back else parts["test"][0]
    np.testing.assert_array_equal(open_part(tmp_path, "test", taken.spec).images[..., 0], expected)
    assert any("were exchanged" in note for note in taken.notes) == turned_back
    upright = (stored == "upright") != turned_back
    assert any("look transposed" in note for note in taken.notes) != upright
    assert taken.spec.pictures == ("digit" if upright else "any")


def test_other_data_is_turned_where_its_form_is_known_to_be(tmp_path: Path) -> None:
    images = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)
    labels = np.array(list("ababab"))
    taken = take_in(
        form({"train": (images, labels), "test": (images, labels)}, turned=True), DataPlan(), tmp_path
    )
    assert taken.spec.shape == (5, 4, 1)
    found = open_part(tmp_path, "train", taken.spec).images[..., 0]
    np.testing.assert_array_equal(found, images.swapaxes(1, 2))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"train": colour(9), "test": (colour(9)[0][:, :16], colour(9)[1])},
            "x/test: images of all parts must be of one size but the test part has 16 x 32 x 3 and .* 32 x 32 x 3",
        ),
        (
            {"train": colour(9), "test": (colour(9)[0], np.repeat("shoe", 9))},
            r"every class of the test part must have training images but shoe has none \(9 images\)",
        ),
        (
            {"train": (colour(9)[0], np.repeat("shoe", 9))},
            "at least two classes but the training part has only shoe",
        ),
        (
            {"train": (colour(0)[0], colour(0)[1])},
            "x/train: there must be at least one image but there are 0",
        ),
        (
            {"train": (colour(9)[0], np.array([*"abcabcab", ""]))},
            "1 of 9 have none, number 8 first: label them",
        ),
        (
            {"train": (colour(9)[0] / 300, colour(9)[1])},
            "x/train: fractional pixels must be .* image 0 is not one",
        ),
    ],
)
def test_broken_data_is_refused_with_its_place(
    tmp_path: Path, parts: dict[str, tuple[NDArray[Any], NDArray[Any]]], message: str
) -> None:
    with pytest.raises(PipelineError, match=message):
        take_in(form(parts), DataPlan(), tmp_path)
