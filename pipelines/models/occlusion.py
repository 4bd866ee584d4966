"""Map of the parts of an image that a model's answer rests on, found by hiding them; for any model."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Most cells along a side of the map.
SIDE = 14
# Values of all the images with a hidden part, which bounds the work for large images.
MOST_VALUES = 2**24


@dataclass(frozen=True, eq=False)
class Occlusion:
    """The map of an image.

    Attributes:
        support: float32, rows x columns of cells: how much hiding the surroundings of a cell lowers the log-odds of
            the answer, as a share of the largest such loss; 0 where nothing is lost.
        cell: Side of a cell in pixels; the last row and column of cells may reach beyond the image.
        row: Place of the largest loss from top to bottom, 0 to 1.
        column: Place of the largest loss from left to right, 0 to 1.
        remaining: Probability of the same answer when that place is hidden.
    """

    support: NDArray[np.float32]
    cell: int
    row: float
    column: float
    remaining: float


def occluded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return copies of an image, each with one part hidden, row by row of the map's cells.

    A part is three cells wide and high, so that neighbours overlap. It gets the image's median colour, which is the
    paper in the image of a digit.

    Args:
        image: uint8, height x width x channels.

    Returns:
        uint8, cells x height x width x channels.
    """
    rows, columns, step = _cells(image.shape)
    copies = np.repeat(image[None], rows * columns, axis=0)
    colour = np.median(image, axis=(0, 1)).astype(np.uint8)
    for number, copy in enumerate(copies):
        top, left = (step * place for place in divmod(number, columns))
        copy[max(0, top - step) : top + 2 * step, max(0, left - step) : left + 2 * step] = colour
    return copies


def occlusion_map(
    image: NDArray[np.uint8], answer: NDArray[np.float32], hidden: NDArray[np.float32]
) -> Occlusion:
    """Return the map of an image.

    Args:
        image: uint8, height x width x channels.
        answer: Probabilities of the image, one for each class.
        hidden: Probabilities of its `occluded` copies, cells x classes.
    """
    rows, columns, cell = _cells(image.shape)
    best = int(answer.argmax())
    loss = (_log_odds(answer[None], best) - _log_odds(hidden, best)).clip(min=0)
    largest = int(loss.argmax())
    row, column = divmod(largest, columns)
    support = (loss / max(loss[largest], np.finfo(np.float32).tiny)).astype(np.float32)
    return Occlusion(
        support.reshape(rows, columns),
        cell,
        min((row + 0.5) * cell / image.shape[0], 1.0),
        min((column + 0.5) * cell / image.shape[1], 1.0),
        float(hidden[largest, best]),
    )


def _cells(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return rows and columns of the map, and the side of a cell in pixels."""
    height, width = shape[:2]
    side = max(1, min(SIDE, math.isqrt(MOST_VALUES // math.prod(shape))))
    step = math.ceil(max(height, width) / side)
    return math.ceil(height / step), math.ceil(width / step), step


def _log_odds(probabilities: NDArray[np.float32], label: int) -> NDArray[np.float64]:
    # The others are added up, because 1 minus a probability near 1 has no digits left.
    least = np.finfo(np.float32).tiny
    others = np.delete(probabilities, label, axis=1).sum(axis=1, dtype=np.float64)
    odds: NDArray[np.float64] = np.log(np.maximum(probabilities[:, label], least)) - np.log(
        np.maximum(others, least)
    )
    return odds
