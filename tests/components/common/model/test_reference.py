from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from components.common.model import reference as module
from components.common.model.reference import (
    REFERENCE_FILE,
    SKETCH_VALUES,
    Reference,
    image_values,
    make_reference,
    sketches,
)
from tests.records import COLOUR, random_split

GREY = ImageSpec(12, 16, 1, ("left", "right"))


def halves(count: int, seed: int = 0) -> Split:
    """Images that are bright on the left or on the right, each to another degree, in turn."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, *GREY.shape), dtype=np.uint8)
    degrees = rng.integers(100, 190, (count, 1, 1, 1), dtype=np.uint8)
    images[::2, :, :8] += degrees[::2]
    images[1::2, :, 8:] += degrees[1::2]
    return Split(images, (np.arange(count) % 2).astype(np.uint8), GREY)


def by_side(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Answer left or right, the surer the greater the difference."""
    left, right = images[:, :, :8].mean(axis=(1, 2, 3)), images[:, :, 8:].mean(axis=(1, 2, 3))
    right_share = 1 / (1 + np.exp((left - right) / 30))
    return np.stack([1 - right_share, right_share], axis=1).astype(np.float32)


def halves_reference(examples: int = 600) -> Reference:
    return make_reference(halves(400, seed=1).images, halves(examples, seed=2), by_side, reject_below=0.97)


def test_a_reference_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    made = halves_reference()
    made.save(tmp_path)
    read = Reference.load(tmp_path)

    images = halves(50, seed=3).images
    for name, column in made.values_of(images).items():
        np.testing.assert_array_equal(read.values_of(images)[name], column)
    np.testing.assert_array_equal(read.confidence, made.confidence)
    assert (read.rejected, read.right, read.examples, read.shape) == (made.rejected, 600, 600, GREY.shape)
    assert 0 < read.rejected < 600
    assert read.answered.tolist() == [300, 300]
    assert read.pictures.dtype == np.uint8
    assert read.pictures.shape == (12, *GREY.shape)
    assert read.unlikeness_limit() == made.unlikeness_limit()


def test_a_large_split_is_described_by_a_bounded_sample_in_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = halves(100, seed=2)
    whole = make_reference(split.images, split, by_side, 0.9)
    monkeypatch.setattr(module, "CHUNK_VALUES", 7 * GREY.pixels)
    for name, column in make_reference(split.images, split, by_side, 0.9).values.items():
        np.testing.assert_allclose(column, whole.values[name], rtol=1e-5)
    monkeypatch.setattr(module, "MOST_EXAMPLES", 30)
    sampled = make_reference(split.images, split, by_side, 0.9)
    assert (sampled.examples, int(sampled.answered.sum())) == (30, 30)
    sampled.save(tmp_path)
    assert (tmp_path / REFERENCE_FILE).stat().st_size < 20_000


def test_one_in_a_hundred_of_its_own_kind_is_unlike_it_and_other_images_are() -> None:
    reference = halves_reference(2000)
    limit = reference.unlikeness_limit()

    def share(images: NDArray[np.uint8]) -> float:
        return float((reference.unlikeness(reference.values_of(images)) > limit).mean())

    images = halves(1000, seed=3).images
    assert share(images) < 0.03
    for other in (np.zeros_like(images), 255 - images, np.rot90(images, axes=(1, 2)).reshape(images.shape)):
        assert share(other) > 0.9


def test_values_are_those_of_the_image() -> None:
    images = np.zeros((2, 4, 8, 1), np.uint8)
    images[0, 1, 6] = 255
    images[1] = 51
    values = image_values(images)
    assert values["brightness"].tolist() == pytest.approx([1 / 32, 0.2])
    assert values["contrast"].tolist() == pytest.approx([(31 / 32**2) ** 0.5, 0], abs=1e-6)
    assert values["horizontal"].tolist() == pytest.approx([6.5 / 8, 0.5])
    assert values["vertical"].tolist() == pytest.approx([1.5 / 4, 0.5])
    assert values["sharpness"][1] == pytest.approx(0, abs=1e-6)
    assert "colour" not in values
    red = np.zeros((1, 4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert image_values(red)["colour"].tolist() == [1]


@pytest.mark.parametrize("shape", [(1, 300, 200, 3), (2, 9, 500, 1), (1, 28, 28, 1), (1, 8, 8, 3)])
def test_sketches_are_small_and_as_bright_as_the_images(shape: tuple[int, ...]) -> None:
    images = np.full(shape, 51, np.uint8)
    drawn = sketches(images)
    assert drawn.shape[0] == shape[0]
    assert drawn.shape[1] <= SKETCH_VALUES
    np.testing.assert_allclose(drawn, 0.2, rtol=1e-5)


def test_colour_images_and_few_images_have_a_reference(tmp_path: Path) -> None:
    split = random_split(3, spec=COLOUR)

    def thirds(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(images), 3), 1 / 3, np.float32)

    made = make_reference(split.images[:1], split, thirds, 0.9)
    made.save(tmp_path)
    read = Reference.load(tmp_path)
    assert (read.examples, read.rejected, "colour" in read.values) == (3, 3, True)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no archive", "truncated", "other arrays"])
def test_what_is_no_reference_is_refused(tmp_path: Path, content: bytes | str | None) -> None:
    file = tmp_path / REFERENCE_FILE
    if content == "other arrays":
        np.savez(file, images=np.zeros(3))
    elif content == "truncated":
        halves_reference(20).save(tmp_path)
        file.write_bytes(file.read_bytes()[:-200])
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(PipelineError, match=r"must (have a|be a version's) reference"):
        Reference.load(tmp_path)
