from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.errors import PipelineError
from components.ingest.pixels import PixelReader

GREY = np.random.default_rng(0).integers(0, 256, (6, 5, 7), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)
SQUARE = np.random.default_rng(2).integers(0, 256, (6, 4, 4), dtype=np.uint8)
OPAQUE = np.concatenate([COLOUR, np.full((6, 5, 7, 1), 255, np.uint8)], axis=3)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (GREY, GREY[..., None]),
        (GREY[..., None], GREY[..., None]),
        (GREY[:, None], GREY[..., None]),
        (SQUARE.reshape(6, 16), SQUARE[..., None]),
        (COLOUR, COLOUR),
        (np.moveaxis(COLOUR, 3, 1), COLOUR),
        (OPAQUE, COLOUR),
        (GREY.astype(np.int64), GREY[..., None]),
        (GREY.astype(np.float64), GREY[..., None]),
        (GREY / 255, GREY[..., None]),
        ((GREY / 255).astype(np.float16), GREY[..., None]),
        ((GREY / 255).astype(np.float32), GREY[..., None]),
        (GREY > 100, (GREY > 100)[..., None] * np.uint8(255)),
    ],
)
def test_images_of_the_usual_kinds_are_read(given: NDArray[Any], expected: NDArray[np.uint8]) -> None:
    found = PixelReader("train").pixels(given)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def spoiled(images: NDArray[Any], value: float) -> NDArray[Any]:
    spoiled_images = images.copy()
    spoiled_images[3, 2, 1] = value
    return spoiled_images


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (GREY.reshape(6, 35), "grey or with 3 channels, but are 6 x 35 of type uint8: "),
        (np.zeros((6, 5, 4, 2), np.uint8), "grey or with 3 channels, but are 6 x 5 x 4 x 2 of type uint8: "),
        (np.zeros((6, 0, 4), np.uint8), "grey or with 3 channels, but are 6 x 0 x 4 x 1 of type uint8: "),
        (GREY.astype("U3"), "pixels must be numbers but are of type <U3: "),
        (spoiled(GREY / 255, np.nan), "pixels must be numbers but image 3 is not one: "),
        (
            spoiled(GREY.astype(int), 256),
            "pixels must be 0 to 255 but image 3 is not one with values from .* to 256: ",
        ),
        (
            spoiled(GREY.astype(int), -1),
            "pixels must be 0 to 255 but image 3 is not one with values from -1 to ",
        ),
        (
            spoiled(GREY / 255, 0.5),
            "fractional pixels must be whole numbers .* but image 3 is not one with values ",
        ),
        (GREY / 127.5 - 1, "pixels must be 0 to 1 but image 0 is not one with values from -0"),
        (spoiled(OPAQUE, 7), "images with an alpha channel must be opaque but image 3 is not one: "),
    ],
)
def test_other_images_are_refused(given: NDArray[Any], message: str) -> None:
    with pytest.raises(PipelineError, match=rf"^train: .*{message}.*\.$"):
        PixelReader("train").pixels(given)


def test_an_error_counts_the_images_of_earlier_chunks() -> None:
    reader = PixelReader("train")
    reader.pixels(GREY.astype(int))
    with pytest.raises(PipelineError, match="but image 9 is not one"):
        reader.pixels(spoiled(GREY.astype(int), 256))


def test_the_first_chunk_decides_whether_1_is_the_brightest() -> None:
    reader = PixelReader("train")
    dark = np.zeros((2, 5, 7))
    reader.pixels(GREY / 255)
    assert reader.pixels(dark + 1).max() == 255
    reader = PixelReader("train")
    reader.pixels(GREY.astype(float))
    assert reader.pixels(dark + 1).max() == 1
