"""Answers that a model gave when it was registered, kept with a version: the measure of what is loaded later."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError, first_line

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


def load_known_answers(directory: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32], float]:
    """Return the images in a version's directory, the probabilities stored for them, and the difference allowed.

    Raises:
        PipelineError: The file is missing or damaged.
    """
    path = directory / KNOWN_ANSWERS
    try:
        with np.load(path, allow_pickle=False) as known:
            return known["images"], known["probabilities"], float(known["tolerance"])
    # NumPy's reader of archives raises errors without a common base class for damaged ones.
    except Exception as error:
        raise PipelineError(
            f"{path} must hold images and answers but cannot be read ({first_line(error)}): "
            "restore it or register the model again."
        ) from None


def compare_known_answers(classifier: Answering, directory: Path) -> tuple[float, str]:
    """Ask the classifier for the answers that are stored in a version's directory.

    Returns:
        The largest difference of a probability, and what is wrong with it, in words; "" for nothing.

    Raises:
        PipelineError: The classifier does not take the images, or does not return probabilities, or the stored answers
            cannot be read.
    """
    images, expected, tolerance = load_known_answers(directory)
    answers = classifier.probabilities(images)
    if answers.shape != expected.shape:
        return float("nan"), f"the answers stored with it are {expected.shape} and its own {answers.shape}"
    difference = float(np.abs(answers - expected).max(initial=0))
    # NaN is within no limit.
    if difference <= tolerance:
        return difference, ""
    return (
        difference,
        f"its answers differ by {difference:.2g} from those stored with it (limit {tolerance:g})",
    )
