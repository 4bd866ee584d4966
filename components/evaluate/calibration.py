"""Do probabilities mean what they say? Reliability, and the one temperature that mends it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
TEMPERATURES = (0.05, 20.0)
# exp of it is the least probability that float32 holds.
LEAST_LOG = -103.0


@dataclass(frozen=True)
class Bin:
    """Images whose top probability lies between `low` and `high`: mean top probability and accuracy."""

    low: float
    high: float
    examples: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """How far probabilities are from frequencies.

    Attributes:
        nll: Mean negative log likelihood.
        brier: Mean squared distance of the probabilities from the truth, 0 to 2.
        ece: Expected calibration error over 15 equal bins of the top probability.
        bins: Those of the 15 that hold images.
    """

    nll: float
    brier: float
    ece: float
    bins: list[Bin]


@dataclass(frozen=True)
class Calibration:
    """The candidate's temperature, fitted on validation, and its reliability on the test split without it."""

    temperature: float
    validation_examples: int
    uncalibrated: Reliability


def reliability(labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> Reliability:
    """Measure probabilities, N x 10, for N labels; a probability of 0 counts as float32's epsilon."""
    exact = probabilities.astype(np.float64)
    of_truth = np.clip(exact[np.arange(len(labels)), labels], np.finfo(np.float32).eps, 1)
    bins = _bins(exact.max(axis=1), exact.argmax(axis=1) == labels)
    return Reliability(
        nll=float(-np.log(of_truth).mean()),
        brier=float(((exact - np.eye(10)[labels]) ** 2).sum(axis=1).mean()),
        ece=sum(entry.examples * abs(entry.accuracy - entry.confidence) for entry in bins) / len(labels),
        bins=bins,
    )


def _bins(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[Bin]:
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        Bin(
            index / BINS,
            (index + 1) / BINS,
            int(inside.sum()),
            float(confidence[inside].mean()),
            float(correct[inside].mean()),
        )
        for index in range(BINS)
        if (inside := number == index).any()
    ]


def temper(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return the probabilities, N x 10, that logits divided by `temperature` give."""
    return np.exp(_log_softmax(_logs(probabilities) / temperature)).astype(np.float32)


def fit_temperature(labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> float:
    """Return the temperature, 0.05 to 20, that makes the labels likeliest.

    As in Platt's method the targets hold back one image's worth of doubt: without it the likeliest temperature
    of a model without a mistake would be 0.
    """
    from scipy.optimize import minimize_scalar

    logs = _logs(probabilities)
    doubt = 1 / (len(labels) + 1)
    targets = np.eye(10)[labels] * (1 - doubt) + doubt / 10

    def loss(log_temperature: float) -> float:
        return float(-(targets * _log_softmax(logs / np.exp(log_temperature))).sum(axis=1).mean())

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def _logs(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return logits, up to a constant an image."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.exp(LEAST_LOG)))


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    normalized: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalized
