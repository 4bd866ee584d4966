"""Answers that a model gave when it was registered, kept with a version: the measure of what is loaded later."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError, first_line

KNOWN_ANSWERS = "known_answers.npz"
# Largest difference of a probability, calculated in float32, that another machine or another release may cause.
FLOAT32_TOLERANCE = 1e-3


class Answering(Protocol):
    """What answers images with the probabilities of their classes."""

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities, float32 N x classes, of uint8 images."""


def save_known_answers(
    classifier: Answering, runtime: Answering, images: NDArray[np.uint8], path: Path, tolerance: float
) -> None:
    """Write images, the answers of a model and of its ONNX file, and the difference that is allowed the model later.

    A model that calculates in bfloat16 can be far from its ONNX file, which calculates in float32.
    """
    np.savez(
        path,
        images=images,
        probabilities=classifier.probabilities(images),
        in_float32=runtime.probabilities(images),
        tolerance=tolerance,
    )


def load_known_answers(
    directory: Path, *, in_float32: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.float32], float]:
    """Return the images in a version's directory, the probabilities stored for them, and the difference allowed.

    Args:
        directory: Directory of the version.
        in_float32: Whether the answers are those of the ONNX file; older versions have the model's alone.

    Raises:
        PipelineError: The file is missing or damaged.
    """
    path = directory / KNOWN_ANSWERS
    try:
        with np.load(path, allow_pickle=False) as known:
            if in_float32 and "in_float32" in known:
                return known["images"], known["in_float32"], FLOAT32_TOLERANCE
            return known["images"], known["probabilities"], float(known["tolerance"])
    # NumPy's reader of archives raises errors without a common base class for damaged ones.
    except Exception as error:
        raise PipelineError(
            f"{path} must hold images and answers but cannot be read ({first_line(error)}): "
            "restore it or register the model again."
        ) from None


def compare_known_answers(
    classifier: Answering, directory: Path, *, in_float32: bool = False
) -> tuple[float, str]:
    """Ask the classifier for the answers that are stored in a version's directory; `in_float32` for its ONNX file.

    Returns:
        The largest difference of a probability, and what is wrong with it, in words; "" for nothing.

    Raises:
        PipelineError: The classifier does not take the images, or does not return probabilities, or the stored answers
            cannot be read.
    """
    images, expected, tolerance = load_known_answers(directory, in_float32=in_float32)
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
