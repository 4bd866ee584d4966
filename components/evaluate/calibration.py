"""Reliability of probabilities, and temperature scaling."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.intervals import CONFIDENCE, Interval, share_intervals

BINS = 15
# Test splits that are made up to see what chance alone does, and the steps of the top probability that they tell apart.
MADE_UP = 1000
STEPS = 200
# Least and greatest temperature.
TEMPERATURES = (0.05, 20.0)
# Natural logarithm of the smallest positive float32.
SMALLEST_LOG = -103.0
# Probabilities that are held in double precision at a time.
CHUNK_VALUES = 2**22


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
    """Difference between probabilities and observed frequencies.

    Attributes:
        nll: Mean negative log likelihood.
        brier: Mean squared distance of the probabilities from the truth, 0 to 2.
        ece: Expected calibration error over 15 equal bins of the top probability.
        ece_interval: 95% interval of the error that this one estimates: that of the model's true accuracies on these
            images, in these bins.
        ece_by_chance: The error that a perfectly calibrated model with these top probabilities shows on average. It is
            not 0, since so few images do not show its accuracy exactly.
        ece_by_chance_bound: The error that it stays below in 95% of test splits.
        bins: The bins, of these 15, that hold images.
    """

    nll: float
    brier: float
    ece: float
    ece_interval: Interval
    ece_by_chance: float
    ece_by_chance_bound: float
    bins: list[Bin]

    @property
    def miscalibrated(self) -> bool:
        """Whether the error is larger than chance alone explains."""
        return self.ece > self.ece_by_chance_bound


@dataclass(frozen=True)
class Calibration:
    """The candidate's temperature, fitted on validation, and its reliability on the test split without it.

    Attributes:
        temperature: Divisor of the logits.
        validation_examples: Number of images that it was fitted on.
        uncalibrated: Reliability on the test split with temperature 1.
    """

    temperature: float
    validation_examples: int
    uncalibrated: Reliability


def measure_reliability(labels: NDArray[np.integer], probabilities: NDArray[np.float32]) -> Reliability:
    """Measure probabilities, N x classes, for N labels; a probability of 0 counts as float32's epsilon."""
    # scikit-learn's `log_loss` would also lower a probability of 1, and `brier_score_loss` would warn in float64 that
    # rows of float32 probabilities do not sum to 1.
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = _bins(confidence, probabilities.argmax(axis=1) == labels)
    ece = sum(entry.examples * abs(entry.accuracy - entry.confidence) for entry in bins) / len(labels)
    by_chance = _errors_by_chance(confidence)
    squares = [
        ((probabilities[rows].astype(np.float64) - _one_hot(labels[rows], probabilities.shape[1])) ** 2).sum(
            axis=1
        )
        for rows in _chunks(probabilities)
    ]
    return Reliability(
        nll=float(-np.log(np.clip(of_truth, np.finfo(np.float32).eps, 1)).mean()),
        brier=float(np.concatenate(squares).mean()),
        ece=ece,
        ece_interval=_ece_interval(ece, bins, float(by_chance.mean())),
        ece_by_chance=float(by_chance.mean()),
        ece_by_chance_bound=float(np.quantile(by_chance, CONFIDENCE)),
        bins=bins,
    )


def _errors_by_chance(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the calibration errors of made-up test splits whose images are right as often as their confidences say.

    Images in one step count as equally sure. That makes a number of right answers vary by hardly more than it does.
    """
    step = np.minimum((confidence * STEPS).astype(int), STEPS - 1) + STEPS * _bin_numbers(confidence)
    _, group, counts = np.unique(step, return_inverse=True, return_counts=True)
    sums = np.bincount(group, confidence)
    right = np.random.default_rng(0).binomial(counts, np.minimum(sums / counts, 1), (MADE_UP, len(counts)))
    # Groups are in the order of their bins, since a step's number begins with its bin's.
    starts = np.unique(np.unique(step) // STEPS, return_index=True)[1]
    errors: NDArray[np.float64] = np.abs(np.add.reduceat(right - sums, starts, axis=1)).sum(axis=1)
    return errors / len(confidence)


def _ece_interval(ece: float, bins: list[Bin], by_chance: float) -> Interval:
    """Return the interval of the true error, from exact intervals of the bins' accuracies (MOVER).

    The observed error is too high, by at most what chance adds to a calibrated model's; its lower end allows for that.
    """
    counts = np.array([entry.examples for entry in bins])
    accuracy = np.array([entry.accuracy for entry in bins])
    confidence = np.array([entry.confidence for entry in bins])
    low, high = share_intervals(accuracy * counts, counts).T
    observed, weights = np.abs(accuracy - confidence), counts / counts.sum()
    nearest = np.maximum(np.maximum(low - confidence, confidence - high), 0)
    farthest = np.maximum(high - confidence, confidence - low)
    below, above = (
        float(np.sqrt(np.square(weights * (observed - end)).sum())) for end in (nearest, farthest)
    )
    return max(ece - by_chance - below, 0.0), min(ece + above, 1.0)


def _bin_numbers(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def _bins(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[Bin]:
    number = _bin_numbers(confidence)
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


def apply_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return the probabilities, N x classes, after division of their logits by `temperature`."""
    tempered = np.empty(probabilities.shape, np.float32)
    for rows in _chunks(probabilities):
        tempered[rows] = np.exp(_log_softmax(_logs(probabilities[rows]) / temperature))
    return tempered


def fit_temperature(labels: NDArray[np.integer], probabilities: NDArray[np.float32]) -> float:
    """Return the temperature, 0.05 to 20, with the highest likelihood of the labels.

    As in Platt's method, the targets are smoothed by the weight of one image. Without smoothing, the best temperature
    of a model without mistakes would be 0.
    """
    from scipy.optimize import minimize_scalar

    smoothing = 1 / (len(labels) + 1)

    def likelihoods(rows: slice, temperature: float) -> NDArray[np.float64]:
        part = probabilities[rows]
        targets = _one_hot(labels[rows], part.shape[1]) * (1 - smoothing) + smoothing / part.shape[1]
        of_rows: NDArray[np.float64] = (targets * _log_softmax(_logs(part) / temperature)).sum(axis=1)
        return of_rows

    def loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        return float(
            -np.concatenate([likelihoods(rows, temperature) for rows in _chunks(probabilities)]).mean()
        )

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def _chunks(probabilities: NDArray[np.float32]) -> Iterator[slice]:
    """Yield slices of the rows, N x classes, that are small enough for double precision."""
    count, size = probabilities.shape
    step = max(1, CHUNK_VALUES // size)
    return (slice(start, start + step) for start in range(0, count, step))


def _one_hot(labels: NDArray[np.integer], size: int) -> NDArray[np.float64]:
    truth = np.zeros((len(labels), size))
    truth[np.arange(len(labels)), labels] = 1
    return truth


def _logs(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return logits, up to an additive constant for each image."""
    return np.log(np.maximum(probabilities.astype(np.float64), np.exp(SMALLEST_LOG)))


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    normalized: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalized
