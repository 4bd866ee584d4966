"""Conversion of pictures of digits to images in MNIST's form, and refusal of other pictures."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import IMAGE_SHAPE
from components.common.errors import PipelineError, first_line

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
# Side in pixels from which a picture is large.
LARGE = 64
MOST_PIXELS = 50_000_000


@dataclass(frozen=True)
class Refusal:
    """The reason why a picture is no picture of a digit."""

    reason: str


def read_picture(content: bytes) -> NDArray[np.uint8] | Refusal:
    """Decode an image file to grey, uint8 H x W; transparent pixels become white."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return Refusal(f"it has {picture.width} x {picture.height} pixels, too many for one digit")
            turned = ImageOps.exif_transpose(picture).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        return Refusal(f"it is no readable picture ({str(error).partition(': ')[0]})")
    paper = Image.new("RGBA", turned.size, "white")
    return np.asarray(Image.alpha_composite(paper, turned).convert("L"))


def read_arrays(content: bytes, name: str) -> NDArray[np.uint8]:
    """Decode an `.npy` file of one image or of several.

    Args:
        content: Content of the file.
        name: Name of the file in error messages.

    Returns:
        uint8, N x H x W.

    Raises:
        PipelineError: The file holds no such array, or no image.
    """
    try:
        images = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = first_line(error).removesuffix(".")
        raise PipelineError(
            f"{name} must be an npy array but cannot be read ({reason}): write it with numpy.save."
        ) from error
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim not in {2, 3}:
        found = f"{images.shape} of {images.dtype}" if isinstance(images, np.ndarray) else "an archive"
        raise PipelineError(f"{name} must be uint8 images, H x W or N x H x W, but is {found}: convert it.")
    stack = images if images.ndim == 3 else images[None]
    if 0 in stack.shape:
        raise PipelineError(
            f"{name} must hold at least one image but has the shape {images.shape}: leave it out."
        )
    return stack


def as_mnist(grey: NDArray[np.uint8]) -> NDArray[np.uint8] | Refusal:
    """Turn a grey picture, uint8 H x W, into an image in MNIST's form.

    The colour of the edge counts as that of the paper, so that a dark digit on bright paper and a bright digit on
    dark paper give the same image.

    Returns:
        uint8, 28 x 28, a bright digit on black; or the reason why the picture is refused.
    """
    ink = _ink(grey)
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
    from scipy.ndimage import label

    height, width = strong.shape
    if strong.mean() > MOST_FILLED and min(height, width) > SLIM * max(height, width):
        return "it is one filled area: a digit is made of strokes"
    toned = ink > 0.1
    half = (ink > 0.2) & (ink < 0.8)
    if max(ink.shape) >= LARGE and half.sum() > MOST_HALF_TONES * toned.sum():
        return "it is full of half tones, like a photograph: a digit is ink on paper"
    parts, count = label(strong, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    if count and sizes.max() < LEAST_MAIN_PART * sizes.sum():
        return f"it has {count} separate parts: one digit is one stroke or nearly so"
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
    image = np.zeros(IMAGE_SHAPE, np.uint8)
    corner = []
    for axis, room in enumerate(IMAGE_SHAPE):
        weights = digit.sum(axis=1 - axis)
        centre = float((weights * np.arange(len(weights))).sum() / weights.sum())
        corner.append(min(max(round((room - 1) / 2 - centre), 0), room - digit.shape[axis]))
    top, left = corner
    image[top : top + digit.shape[0], left : left + digit.shape[1]] = np.round(digit * 255)
    return image
