"""The coverage of a report's intervals, by simulation with models whose truth is known."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.evaluate.calibration import BINS
from components.evaluate.intervals import Interval
from components.evaluate.metrics import Metrics, measure_predictions

TRUTH_IMAGES = 100_000
TEST_SIZES = (20, 100, 1_000)
FIGURES = (
    "accuracy",
    "recall of a class",
    "precision of a class",
    "F1 of a class",
    "AUC of a class",
    "balanced accuracy",
    "macro F1",
    "macro AUC",
    "ECE",
)


@dataclass(frozen=True)
class Kind:
    """Images and a model for them. A label is drawn from an image's true probabilities, which the model may exaggerate.

    Attributes:
        shares: Part of the images that is of each class.
        margin: Logit that an image's class has above the others', whose standard deviation is 1; more is easier.
        sharpness: The model's logits divided by the true ones; 1 for a calibrated model.
    """

    name: str
    shares: tuple[float, ...]
    margin: float
    sharpness: float = 1.0

    def draw(
        self, generator: np.random.Generator, images: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float64]]:
        """Return labels, N, the model's probabilities, N x classes, and the true probability of each answer, N."""
        from scipy.special import softmax

        logits = generator.normal(size=(images, len(self.shares)))
        rows = np.arange(images)
        logits[rows, generator.choice(len(self.shares), images, p=self.shares)] += self.margin
        labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
        true = softmax(logits, axis=1)
        given = softmax(logits * self.sharpness, axis=1).astype(np.float32)
        return labels, given, true[rows, given.argmax(axis=1)]


KINDS = (
    Kind("ten classes, few mistakes", (0.1,) * 10, 8),
    Kind("ten classes, many mistakes", (0.1,) * 10, 4),
    Kind("ten classes, overconfident", (0.1,) * 10, 8, 2.5),
    Kind("two classes, one of them rare", (0.95, 0.05), 5),
)


def covered(kind: Kind, images: int, repetitions: int) -> dict[str, float]:
    """Return in what part of test splits each figure's interval holds the truth; a figure that is unknown has none."""
    generator = np.random.default_rng(images)
    labels, given, _ = kind.draw(np.random.default_rng(0), TRUTH_IMAGES)
    truth = measure_predictions(labels, given)
    held, seen = Counter[str](), Counter[str]()
    for _ in range(repetitions):
        labels, given, right = kind.draw(generator, images)
        found = measure_predictions(labels, given)
        error = _true_error(given.max(axis=1).astype(np.float64), right)
        for name, true, interval in _claims(truth, found, error):
            seen[name] += 1
            held[name] += interval[0] <= true <= interval[1]
    return {name: held[name] / seen[name] for name in FIGURES}


def _claims(truth: Metrics, found: Metrics, error: float) -> Iterator[tuple[str, float, Interval]]:
    """Yield each figure's name, its truth, and its interval. Means are over the classes that were seen."""
    whole: dict[str, list[float]] = {"recall": [], "f1": [], "auc": []}
    for ours, theirs in zip(found.classes, truth.classes, strict=True):
        for figure in ("recall", "precision", "f1"):
            interval = getattr(ours, f"{figure}_interval")
            if interval:
                name = figure.replace("f1", "F1")
                yield f"{name} of a class", getattr(theirs, figure), interval
        curve, true_curve = found.class_roc[ours.label], truth.class_roc[ours.label]
        if ours.support:
            whole["recall"].append(theirs.recall or 0)
            whole["f1"].append(theirs.f1 or 0)
        if curve and curve.auc_interval and true_curve:
            whole["auc"].append(true_curve.auc)
            yield "AUC of a class", true_curve.auc, curve.auc_interval
    yield "accuracy", truth.accuracy, found.accuracy_interval
    yield "balanced accuracy", float(np.mean(whole["recall"])), found.balanced_accuracy_interval
    yield "macro F1", float(np.mean(whole["f1"])), found.macro_f1_interval
    if found.macro_auc_interval:
        yield "macro AUC", float(np.mean(whole["auc"])), found.macro_auc_interval
    yield "ECE", error, found.reliability.ece_interval


def _true_error(confidence: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Return the calibration error that the true probabilities of the answers, N, give."""
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(number, right - confidence)).sum() / len(right))
