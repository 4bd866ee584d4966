"""Images, and names of classes, in figures."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.spec import ImageSpec

# Longer side in pixels of an image in a figure.
MOST_PIXELS = 96
# Between two images, in inches.
GAP = 0.06
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


class ImageGrid:
    """Images in rows and columns, below captions, in one pair of axes: a pair for each would take ten times as long.

    Attributes:
        figure: The figure.
        axes: Its axes, whose unit is an inch; y grows downwards.

    Args:
        captions: Height above each row in inches, for captions.
        columns: Number of columns.
        shape: Height and width of each image in pixels.
        width: Width of a column in inches.
        left: Width on the left in inches, for names of rows.
    """

    def __init__(
        self,
        captions: Sequence[float],
        columns: int,
        shape: tuple[int, ...],
        width: float,
        left: float = 0.0,
    ) -> None:
        from matplotlib.figure import Figure

        # Very high or flat images get a place between twice and half as high as it is wide.
        self._width, self._height, self._left = (
            width,
            width * float(np.clip(shape[0] / shape[1], 0.5, 2)),
            left,
        )
        self._tops = np.cumsum(captions) + self._height * np.arange(len(captions))
        size = left + columns * width, float(self._tops[-1]) + self._height
        self.figure = Figure(figsize=size)
        self.axes = self.figure.subplots()
        self.axes.axis("off")
        self.axes.set(xlim=(0, size[0]), ylim=(size[1], 0))

    def show(self, row: int, column: int, image: NDArray[np.number], caption: str = "", **style: Any) -> None:
        """Draw an image, height x width x channels, of values 0 to 255; with a style, height x width as it says."""
        small = shrunk(image)
        if not style:
            style = {"cmap": "gray", "vmin": 0, "vmax": 255}
            small = small[..., 0] if small.shape[2] == 1 else small.astype(np.uint8)
        inch = min((self._width - GAP) / small.shape[1], (self._height - GAP) / small.shape[0])
        across, down = small.shape[1] * inch / 2, small.shape[0] * inch / 2
        x = self._left + (column + 0.5) * self._width
        top = self._tops[row]
        y = top + self._height / 2
        limits = self.axes.axis()
        self.axes.imshow(
            small,
            extent=(x - across, x + across, y + down, y - down),
            interpolation="none",
            aspect="auto",
            **style,
        )
        self.axes.axis(limits)
        if caption:
            self.axes.text(x, top, caption, ha="center", va="bottom", fontsize=9)

    def name_row(self, row: int, name: str) -> None:
        """Write the name of a row beside it."""
        y = self._tops[row] + self._height / 2
        self.axes.text(self._left / 2, y, name, ha="center", va="center", rotation=90, fontsize=9)


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
