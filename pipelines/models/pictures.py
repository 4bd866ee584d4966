"""Conversion of pictures to the images of a model, and refusal of those without a digit for a model of digits."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import MOST_PICTURE_PIXELS, require_within
from components.common.data.npy import NpyFile
from components.common.data.picture import decode_picture, resized
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.ingest.form import rows_of
from pipelines.models.parts import part_sizes

# MNIST scales the longer side of a digit to this length, and puts the centre of mass into the middle of the image.
BOX = 20
# Difference from the paper, in grey levels, that the ink must reach.
LEAST_CONTRAST = 40
# A pixel with more ink than this share belongs to a stroke.
INK = 0.5
# Largest filled share of the rectangle around the ink. Slim rectangles are exempt, because a 1 fills its rectangle.
MOST_FILLED = 0.75
# Ratio of the shorter to the longer side, up to which a rectangle is slim.
SLIM = 0.5
# Largest share of ink on the edge of the picture.
MOST_BORDER_INK = 0.1
# Smallest share of the ink in the largest connected stroke.
LEAST_MAIN_PART = 0.5
# Largest share of half tones among the inked pixels of a large picture. An enlarged digit of MNIST has 0.67.
MOST_HALF_TONES = 0.75
# Side in pixels from which a picture is large, and that above which it is made smaller first.
LARGE, LARGEST_SIDE = 64, 1024


@dataclass(frozen=True)
class Refusal:
    """The reason why a picture is not classified."""

    reason: str


def read_picture(content: bytes, spec: ImageSpec) -> NDArray[np.uint8] | Refusal:
    """Decode an image file, and make it an image as `spec` describes it."""
    try:
        picture = decode_picture(content, "it")
    except PipelineError as error:
        return Refusal(str(error).removesuffix("."))
    return prepare_picture(picture, spec)


def prepare_picture(picture: NDArray[np.uint8], spec: ImageSpec) -> NDArray[np.uint8] | Refusal:
    """Turn a picture, uint8 H x W x 1 or H x W x 3, into an image as `spec` describes it.

    A picture for a model of digits is brought into MNIST's form, or refused. Any other is resized, and converted to
    grey or to colour.
    """
    if spec.pictures == "any":
        return resized(picture, *spec.shape)
    height, width, _ = picture.shape
    digit = as_mnist(resized(picture, height, width, 1)[..., 0])
    return digit if isinstance(digit, Refusal) else resized(digit[..., None], *spec.shape)


def array_images(path: Path, name: str, spec: ImageSpec) -> tuple[int, Iterator[NDArray[np.uint8]]]:
    """Open an `.npy` file of one image or of several.

    Args:
        path: The file.
        name: Name of the file in error messages.
        spec: Description of the images of the model.

    Returns:
        The number of images; and each of them, uint8 H x W x 1 or H x W x 3, of which a few are in memory.

    Raises:
        PipelineError: The file holds no such array, or no image. Of damage behind the header, the iterator raises it.
    """
    array = NpyFile(path, name)
    shape = _stacked(array.shape, spec) if array.dtype == np.uint8 else None
    if shape is None:
        raise PipelineError(
            f"{name} must be uint8 images, H x W or N x H x W, with a last axis of 1 or 3 channels or none, but is "
            f"{array.shape} of {array.dtype}: convert it."
        )
    if 0 in shape:
        raise PipelineError(
            f"{name} must hold at least one image but has the shape {array.shape}: leave it out."
        )
    count, *one = shape
    require_within(one[0] * one[1], MOST_PICTURE_PIXELS, f"{name}: pixels of one image", "make them smaller")

    def images() -> Iterator[NDArray[np.uint8]]:
        # Of a single image, the rows are lines of pixels.
        rows = rows_of(math.prod(one)) if len(array.shape) > len(one) or count > 1 else array.shape[0]
        for chunk in array.chunks(rows):
            yield from chunk.reshape(-1, *one)

    return count, images()


def _stacked(shape: tuple[int, ...], spec: ImageSpec) -> tuple[int, int, int, int] | None:
    """Return the shape with axes for number and channels; None where it is that of no images."""
    has_channels = len(shape) >= 3 and shape[-1] in {1, 3}
    if len(shape) == 3 and spec.channels == 1 and shape[1:] == (spec.height, spec.width):
        has_channels = False
    full = shape if has_channels else (*shape, 1)
    if len(full) not in {3, 4}:
        return None
    count, height, width, channels = (1, *full)[-4:]
    return count, height, width, channels


def as_mnist(grey: NDArray[np.uint8]) -> NDArray[np.uint8] | Refusal:
    """Turn a grey picture, uint8 H x W, into an image in MNIST's form.

    The colour of the edge counts as that of the paper, so that a dark digit on bright paper and a bright digit on
    dark paper give the same image.

    Returns:
        uint8, 28 x 28, a bright digit on black; or the reason why the picture is refused.
    """
    ink = _ink(_reduced(grey))
    if isinstance(ink, Refusal):
        return ink
    strong = ink > INK
    if _edge(strong).mean() > MOST_BORDER_INK:
        return Refusal("it has no even background: the digit must stand free on paper of one colour")
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    around = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    if reason := _no_digit(ink[around], strong[around]):
        return Refusal(reason)
    return _centred(_into_box(ink[around]))


def _reduced(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average a picture of more pixels a side than a digit needs, before each of them takes four bytes and more."""
    from PIL import Image

    factor = -(-max(grey.shape) // LARGEST_SIDE)
    return grey if factor == 1 else np.asarray(Image.fromarray(grey).reduce(factor))


def _ink(grey: NDArray[np.uint8]) -> NDArray[np.float32] | Refusal:
    """Return the difference of each pixel from the paper, 0 to 1."""
    edge = _edge(grey)
    difference = np.abs(grey.astype(np.float32) - np.median(edge))
    most = float(np.percentile(difference, 99.5)) if difference.size > 10_000 else float(difference.max())
    most = max(most, float(difference.max()) * 0.6)
    if most < LEAST_CONTRAST:
        return Refusal("it is blank: nothing on it stands out")
    ink: NDArray[np.float32] = np.clip(difference / most, 0, 1)
    ink[ink < 0.1] = 0
    return ink


def _no_digit(ink: NDArray[np.float32], strong: NDArray[np.bool_]) -> str:
    height, width = strong.shape
    if strong.mean() > MOST_FILLED and min(height, width) > SLIM * max(height, width):
        return "it is one filled area: a digit is made of strokes"
    toned = ink > 0.1
    half = (ink > 0.2) & (ink < 0.8)
    if max(ink.shape) >= LARGE and half.sum() > MOST_HALF_TONES * toned.sum():
        return "it is full of half tones, like a photograph: a digit is ink on paper"
    sizes = part_sizes(strong)
    if max(sizes) < LEAST_MAIN_PART * sum(sizes):
        return f"it has {len(sizes)} separate parts: one digit is one stroke or nearly so"
    return ""


def _edge(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])


def _into_box(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    from PIL import Image

    scale = BOX / max(ink.shape)
    height, width = (max(1, round(size * scale)) for size in ink.shape)
    # This takes averages, so that a stroke thinner than one pixel becomes fainter and does not break.
    small = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BILINEAR))
    scaled: NDArray[np.float32] = small / small.max()
    return scaled


def _centred(digit: NDArray[np.float32]) -> NDArray[np.uint8]:
    image = np.zeros((MNIST_SPEC.height, MNIST_SPEC.width), np.uint8)
    corner = []
    for axis, room in enumerate(image.shape):
        weights = digit.sum(axis=1 - axis)
        centre = float((weights * np.arange(len(weights))).sum() / weights.sum())
        corner.append(min(max(round((room - 1) / 2 - centre), 0), room - digit.shape[axis]))
    top, left = corner
    image[top : top + digit.shape[0], left : left + digit.shape[1]] = np.round(digit * 255)
    return image
