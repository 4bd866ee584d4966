"""Images, and names of classes, in figures."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.common.data.spec import ImageSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Longer side in pixels of an image in a figure.
MOST_PIXELS = 96
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def show_image(axes: "Axes", image: NDArray[np.number]) -> None:
    """Draw an image, height x width x channels, of values 0 to 255; one channel is drawn in grey."""
    small = shrunk(image)
    shown = small[..., 0] if small.shape[2] == 1 else small.astype(np.uint8)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="none")


def shrunk(image: NDArray[np.number]) -> NDArray[np.number]:
    """Return an image, height x width with or without channels, small enough for a figure: means of square blocks."""
    step = -(-max(image.shape[:2]) // MOST_PIXELS)
    if step == 1:
        return image
    height, width = (size // step for size in image.shape[:2])
    whole = image[: height * step, : width * step]
    means: NDArray[np.number] = whole.reshape(height, step, width, step, *image.shape[2:]).mean(axis=(1, 3))
    return means


def drawn_names(spec: ImageSpec, longest: int) -> list[str]:
    """Return the classes' names as figures write them.

    A name of more than `longest` characters is shortened. A name with a character that the font lacks is replaced
    by the class's number.
    """
    return [_drawn(" ".join(name.split()), number, longest) for number, name in enumerate(spec.classes)]


def _drawn(name: str, number: int, longest: int) -> str:
    if not name or not {ord(character) for character in name} <= _characters():
        return str(number)
    shortened = name if len(name) <= longest else name[: longest - 1].rstrip() + ELLIPSIS
    # matplotlib takes what stands between two dollar signs for mathematics.
    return shortened.replace("$", r"\$")


@cache
def _characters() -> frozenset[int]:
    """Return the characters that the figures' font has."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
