"""Misclassified test images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mistake:
    """A misclassified test image; `confidence` is the probability given to the wrong class."""

    index: int
    truth: int
    predicted: int
    confidence: float


def most_confident_mistakes(
    labels: NDArray[np.integer], probabilities: NDArray[np.float32], limit: int = 12
) -> list[Mistake]:
    """List mistakes, the most confident first."""
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    ranked = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    return [
        Mistake(int(index), int(labels[index]), int(predicted[index]), float(confidence[index]))
        for index in ranked
    ]
