"""Selective classification: accuracy if unsure answers are rejected."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.model.judgement import REJECT_ALL
from components.evaluate.intervals import Interval, share_interval

ACCEPTED_ACCURACY = 0.999
CURVE_POINTS = 200


@dataclass(frozen=True)
class Selective:
    """Accuracy among the images that a model answers, by falling confidence.

    Attributes:
        coverage: Rising fractions of the test images that are answered.
        accuracy: The accuracy among them.
        threshold: Top probability below which an image is rejected, chosen so that 99.9% of the accepted validation
            images are right; `REJECT_ALL` where there is none.
        threshold_coverage: Fraction of the test images at or above the threshold.
        accepted: Number of them.
        accepted_errors: Mistakes among them.
        accepted_interval: 95% interval of the accuracy among them; None when none is accepted.
    """

    coverage: list[float]
    accuracy: list[float]
    threshold: float
    threshold_coverage: float
    accepted: int
    accepted_errors: int
    accepted_interval: Interval | None

    @property
    def stated(self) -> str:
        """What became of the accepted test images, as a clause."""
        if self.threshold >= REJECT_ALL:
            return "no threshold leaves 99.9% of the answers on validation right, so that every answer is rejected"
        if self.accepted_interval is None:
            return f"no test image reaches the threshold {self.threshold:.4f}"
        low, high = self.accepted_interval
        return (
            f"at or above {self.threshold:.4f} the model answers {self.accepted:,} test images and makes "
            f"{self.accepted_errors} mistakes; {low:.2%} to {high:.2%} of such answers are right, with 95% confidence"
        )


def reject_threshold(labels: NDArray[np.integer], probabilities: NDArray[np.float32]) -> float:
    """Return the lowest threshold at or above which 99.9% of the images are right; `REJECT_ALL` if there is none.

    Args:
        labels: Integers, N.
        probabilities: float32, N x classes.
    """
    confidence, correct = _by_confidence(labels, probabilities)
    accuracy = np.cumsum(correct) / np.arange(1, len(labels) + 1)
    # Images of equal confidence are accepted together or not at all.
    last_of_equals = np.append(confidence[1:] < confidence[:-1], True)
    holds = np.flatnonzero(last_of_equals & (accuracy >= ACCEPTED_ACCURACY))
    return float(confidence[holds[-1]]) if len(holds) else REJECT_ALL


def measure_selective(
    labels: NDArray[np.integer], probabilities: NDArray[np.float32], threshold: float
) -> Selective:
    """Measure coverage and accuracy on test images, for a threshold that comes from validation."""
    confidence, correct = _by_confidence(labels, probabilities)
    count = len(labels)
    accepted = int((confidence >= threshold).sum())
    answered = np.linspace(1, count, min(count, CURVE_POINTS)).round().astype(int)
    # The threshold's point is included: interpolation between other points would show a wrong number of mistakes.
    answered = np.unique([*answered, max(accepted, 1)])
    right = int(correct[:accepted].sum())
    return Selective(
        coverage=(answered / count).tolist(),
        accuracy=(np.cumsum(correct)[answered - 1] / answered).tolist(),
        threshold=threshold,
        threshold_coverage=accepted / count,
        accepted=accepted,
        accepted_errors=accepted - right,
        accepted_interval=share_interval(right, accepted) if accepted else None,
    )


def _by_confidence(
    labels: NDArray[np.integer], probabilities: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the top probabilities, highest first, and whether each answer is right."""
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    return confidence[order], (probabilities.argmax(axis=1) == labels)[order]
