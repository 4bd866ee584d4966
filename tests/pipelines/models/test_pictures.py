from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from pipelines.models import pictures
from pipelines.models.pictures import Refusal, array_images, as_mnist, read_picture
from tests.pipelines.models.drawings import encoded, handwritten, landscape, twenty

COLOUR = ImageSpec(20, 30, 3, ("lake", "town"))


def _mnist(picture: Image.Image, kind: str = "PNG") -> np.ndarray:
    image = read_picture(encoded(picture, kind), MNIST_SPEC)
    assert not isinstance(image, Refusal), image
    assert image.shape == MNIST_SPEC.shape
    return image[..., 0]


def _refusal(picture: Image.Image) -> str:
    refused = read_picture(encoded(picture), MNIST_SPEC)
    assert isinstance(refused, Refusal)
    return refused.reason


def test_a_digit_is_bright_on_black_in_its_box_with_its_mass_in_the_middle() -> None:
    for digit, picture in twenty():
        image = _mnist(picture)
        assert (image.shape, image.dtype.name, int(image.max())) == ((28, 28), "uint8", 255), digit
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        extent = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert max(extent) == 20, digit
        for axis in (0, 1):
            weights = image.astype(float).sum(axis=1 - axis)
            assert abs((weights * np.arange(28)).sum() / weights.sum() - 13.5) <= 1, digit


def test_place_colour_and_file_format_do_not_matter() -> None:
    at = {"size": 180, "width": 20}
    first = _mnist(handwritten(3, corner=(40, 40), inverted=False, **at))
    np.testing.assert_array_equal(_mnist(handwritten(3, corner=(90, 150), inverted=False, **at)), first)
    np.testing.assert_array_equal(_mnist(handwritten(3, corner=(40, 40), inverted=True, **at)), first)
    jpeg = _mnist(handwritten(3, corner=(40, 40), inverted=False, **at), "JPEG")
    assert np.abs(jpeg.astype(int) - first).mean() < 3


def test_transparent_paper_is_white() -> None:
    opaque = handwritten(7, size=180, width=20, corner=(40, 40), inverted=False)
    grey = np.asarray(opaque.convert("L"))
    cut_out = np.zeros((*grey.shape, 4), np.uint8)
    cut_out[..., 3] = 255 - grey
    np.testing.assert_array_equal(_mnist(Image.fromarray(cut_out)), _mnist(opaque))


def _framed(colour: str) -> Image.Image:
    sheet = Image.new("RGB", (420, 300), colour)
    sheet.paste(landscape(), (50, 50))
    return sheet


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (Image.new("RGB", (200, 200), "white"), "it is blank"),
        (Image.new("L", (28, 28), 0), "it is blank"),
        (Image.effect_noise((200, 200), 12), "it is blank"),
        (landscape(), "no even background"),
        (_framed("white"), "one filled area"),
        (_framed("black"), "half tones"),
        (Image.effect_noise((200, 200), 120), "no even background"),
    ],
)
def test_pictures_without_a_digit_are_refused(picture: Image.Image, reason: str) -> None:
    assert reason in _refusal(picture)


def test_several_digits_are_refused() -> None:
    sheet = Image.new("RGB", (900, 400), "white")
    for number in range(3):
        sheet.paste(handwritten(5, size=200, width=14, corner=(40, 80), inverted=False), (300 * number, 0))
    assert "3 separate parts" in _refusal(sheet)


@pytest.mark.parametrize("content", [b"", b"no picture", encoded(landscape())[:200]])
def test_content_that_is_no_picture_is_refused(content: bytes) -> None:
    for spec in (MNIST_SPEC, COLOUR):
        refused = read_picture(content, spec)
        assert isinstance(refused, Refusal)
        assert refused.reason.startswith("it must be a PNG, JPEG")


@pytest.mark.parametrize(
    ("mode", "spec", "shape"),
    [
        ("RGB", COLOUR, (20, 30, 3)),
        ("L", COLOUR, (20, 30, 3)),
        ("RGB", ImageSpec(8, 8, 1, ("a", "b")), (8, 8, 1)),
    ],
)
def test_a_picture_for_other_models_is_resized_and_converted_only(
    mode: str, spec: ImageSpec, shape: tuple[int, ...]
) -> None:
    picture = landscape().convert(mode)
    image = read_picture(encoded(picture), spec)
    assert not isinstance(image, Refusal)
    assert image.shape == shape
    small = picture.convert("RGB" if shape[2] == 3 else "L").resize(
        (shape[1], shape[0]), Image.Resampling.BILINEAR
    )
    np.testing.assert_array_equal(image, np.asarray(small).reshape(shape))


@pytest.mark.parametrize(
    ("shape", "spec", "expected"),
    [
        ((28, 28), MNIST_SPEC, (1, 28, 28, 1)),
        ((2, 28, 28), MNIST_SPEC, (2, 28, 28, 1)),
        ((1, 40, 30), MNIST_SPEC, (1, 40, 30, 1)),
        ((2, 28, 28, 1), MNIST_SPEC, (2, 28, 28, 1)),
        ((2, 50, 40, 3), MNIST_SPEC, (2, 50, 40, 3)),
        ((50, 40, 3), MNIST_SPEC, (1, 50, 40, 3)),
        ((20, 30, 3), COLOUR, (1, 20, 30, 3)),
        ((20, 30), COLOUR, (1, 20, 30, 1)),
        ((4, 5, 3), ImageSpec(5, 3, 1, ("a", "b")), (4, 5, 3, 1)),
    ],
)
def test_arrays_are_one_image_or_many(
    shape: tuple[int, ...], spec: ImageSpec, expected: tuple[int, ...], tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    count, images = array_images(tmp_path / "a.npy", "a.npy", spec)
    assert count == expected[0]
    assert np.stack(list(images)).shape == expected


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((28, 28)), r"but is \(28, 28\) of float64"),
        (np.zeros((28, 28, 3, 2), np.uint8), r"but is \(28, 28, 3, 2\) of uint8"),
        (np.zeros(28, np.uint8), r"but is \(28,\) of uint8"),
        (np.zeros((0, 28, 28), np.uint8), "at least one image"),
    ],
)
def test_arrays_of_something_else_are_refused(
    array: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", message: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(PipelineError, match=message):
        array_images(tmp_path / "a.npy", "a.npy", MNIST_SPEC)


def test_a_large_picture_is_made_smaller_before_its_pixels_take_more_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paper = np.full((4000, 3900), 255, np.uint8)
    paper[1000:3000, 1900:2100] = 0
    sizes, find = [], pictures._ink

    def seen(grey: NDArray[np.uint8]) -> NDArray[np.float32] | Refusal:
        sizes.append(grey.shape)
        return find(grey)

    monkeypatch.setattr(pictures, "_ink", seen)
    assert isinstance(as_mnist(paper), np.ndarray)
    assert sizes == [(1000, 975)]
