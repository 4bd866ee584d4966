"""Answers that a model gave when it was registered, kept with a version: the measure of what is loaded later."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

KNOWN_ANSWERS = "known_answers.npz"


class Answering(Protocol):
    """What answers images with the probabilities of their classes."""

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities, float32 N x classes, of uint8 images."""


def save_known_answers(
    classifier: Answering, images: NDArray[np.uint8], path: Path, tolerance: float
) -> None:
    """Write images, the answers of the classifier, and the largest difference that is allowed later."""
    np.savez(path, images=images, probabilities=classifier.probabilities(images), tolerance=tolerance)


def compare_known_answers(classifier: Answering, directory: Path) -> tuple[float, str]:
    """Ask the classifier for the answers that are stored in a version's directory.

    Returns:
        The largest difference of a probability, and what is wrong with it, in words; "" for nothing.

    Raises:
        PipelineError: The classifier does not take the images, or does not return probabilities.
    """
    with np.load(directory / KNOWN_ANSWERS, allow_pickle=False) as known:
        answers = classifier.probabilities(known["images"])
        difference = float(np.abs(answers - known["probabilities"]).max())
        tolerance = float(known["tolerance"])
    if difference <= tolerance:
        return difference, ""
    return (
        difference,
        f"its answers differ by {difference:.2g} from those stored with it (limit {tolerance:g})",
    )
