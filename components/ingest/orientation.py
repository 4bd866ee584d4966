"""Orientation of handwritten digits, found by comparison with scikit-learn's bundled digits."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.data.spec import DIGITS

# Side of the patterns that are compared.
SIDE = 8
# Least mean correlation of the ten digits' mean images with the bundled ones, after what all ten have in common is
# taken away. Genuine MNIST has 0.5 in its own position and at most 0.25 in any other; other images have less than 0.1.
LEAST_CORRELATION = 0.3
# Least lead of the best position over upright.
LEAST_LEAD = 0.1


@dataclass(frozen=True)
class Orientation:
    """How the images of the ten digits lie.

    Attributes:
        position: "upright", or how the images differ from upright ones.
        inverted: Whether the digits are dark on bright.
        correlation: Mean correlation with the bundled digits in that position.
    """

    position: str
    inverted: bool
    correlation: float


POSITIONS = {
    "upright": lambda image: image,
    "transposed": lambda image: image.T,
    "rotated by 90 degrees": lambda image: np.rot90(image, 1),
    "rotated by 180 degrees": lambda image: np.rot90(image, 2),
    "rotated by 270 degrees": lambda image: np.rot90(image, 3),
    "mirrored left to right": np.fliplr,
    "mirrored top to bottom": np.flipud,
    "transposed along the other diagonal": lambda image: np.rot90(image, 2).T,
}


def find_orientation(
    images: NDArray[np.uint8], labels: NDArray[np.integer], classes: Sequence[str]
) -> Orientation | None:
    """Find how the images of the classes "0" to "9" lie; None where these are no handwritten digits.

    Args:
        images: A sample of the training part, uint8, N x height x width x channels.
        labels: Places in `classes`, N.
        classes: Names of the classes.
    """
    if not set(DIGITS) <= set(classes) or images.shape[3] != 1 or images.shape[1] != images.shape[2]:
        return None
    places = [classes.index(digit) for digit in DIGITS]
    if not all((labels == place).any() for place in places):
        return None
    means = [images[labels == place, :, :, 0].mean(axis=0) for place in places]
    inverted = bool(np.mean([_border(mean) for mean in means]) > np.mean([mean.mean() for mean in means]))
    patterns = [_pattern(255 - mean if inverted else mean) for mean in means]
    correlations = {
        name: _correlation(np.stack([turned(pattern) for pattern in patterns]), _known())
        for name, turned in POSITIONS.items()
    }
    best = max(correlations, key=lambda name: correlations[name])
    if correlations[best] < LEAST_CORRELATION:
        return None
    if correlations[best] - correlations["upright"] < LEAST_LEAD:
        best = "upright"
    # What undoes the position: a quarter turn back is three forward.
    undone = {
        "rotated by 90 degrees": "rotated by 270 degrees",
        "rotated by 270 degrees": "rotated by 90 degrees",
    }
    return Orientation(undone.get(best, best), inverted, correlations[best])


@cache
def _known() -> NDArray[np.float64]:
    """Return the mean images of the bundled digits; reading their file is quicker than to import scikit-learn."""
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("scikit-learn")
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    images, labels = table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1]
    return np.stack([_pattern(images[labels == digit].mean(axis=0)) for digit in range(len(DIGITS))])


def _pattern(mean: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cut the mean image to the square around its ink, and reduce it to SIDE x SIDE."""
    from PIL import Image

    strong = mean > 0.15 * mean.max()
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    if not len(rows):
        return np.zeros((SIDE, SIDE))
    height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    side = max(height, width)
    square = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = mean[
        rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1
    ]
    reduced = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(reduced, np.float64)


def _border(mean: NDArray[np.floating]) -> float:
    return float(np.mean([mean[0].mean(), mean[-1].mean(), mean[:, 0].mean(), mean[:, -1].mean()]))


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the mean correlation of ten patterns with ten others, after what all ten have in common is taken away."""
    own = [patterns - patterns.mean(axis=0) for patterns in (first, second)]
    pairs = [(one.ravel(), other.ravel()) for one, other in zip(*own, strict=True)]
    return float(np.mean([np.corrcoef(one, other)[0, 1] if one.any() else 0.0 for one, other in pairs]))
