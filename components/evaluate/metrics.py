"""How good predictions are, in numbers that survive JSON: plain ints and floats only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError

CURVE_POINTS = 100
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest; `support` is its number of test images."""

    label: int
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class RocCurve:
    """At most 100 points, from (0, 0) to (1, 1); thresholds fall from 1 and are finite."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]
    thresholds: list[float]
    auc: float


@dataclass(frozen=True)
class Metrics:
    """One model on the test split.

    `confusion[t][p]` counts the images of class t that were taken for p. `class_roc` has an entry per class,
    None for a class without test images; `pooled_roc` counts all ten one-vs-rest decisions of an image alike.
    """

    examples: int
    errors: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    loss: float
    macro_f1: float
    macro_auc: float
    classes: list[ClassMetrics]
    confusion: list[list[int]]
    class_roc: list[RocCurve | None]
    pooled_roc: RocCurve

    def headline(self) -> dict[str, float]:
        """The numbers that say most, by the name to log them under."""
        return {
            "test_accuracy": self.accuracy,
            "test_loss": self.loss,
            "test_macro_f1": self.macro_f1,
            "test_macro_auc": self.macro_auc,
            "test_errors": float(self.errors),
        }


def measure(labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> Metrics:
    """Measure predictions.

    Args:
        labels: uint8, N, N > 0.
        probabilities: float32, N x 10.

    Raises:
        PipelineError: All labels are of one class, which leaves nothing to tell apart.
    """
    if (labels == labels[0]).all():
        raise PipelineError(
            f"A test split must hold images of several classes but all are of class {labels[0]}."
        )
    confusion = _confusion(labels, probabilities)
    classes = _class_metrics(confusion)
    seen = [entry for entry in classes if entry.support or confusion[:, entry.label].any()]
    class_roc = [
        _roc(labels == label, scores) if (labels == label).any() else None
        for label, scores in enumerate(probabilities.T)
    ]
    correct = int(np.trace(confusion))
    return Metrics(
        examples=len(labels),
        errors=len(labels) - correct,
        accuracy=correct / len(labels),
        accuracy_interval=wilson_interval(correct, len(labels)),
        loss=_cross_entropy(labels, probabilities),
        macro_f1=float(np.mean([entry.f1 for entry in seen])),
        macro_auc=float(np.mean([curve.auc for curve in class_roc if curve])),
        classes=classes,
        confusion=confusion.tolist(),
        class_roc=class_roc,
        pooled_roc=_roc(np.eye(10, dtype=bool)[labels].ravel(), probabilities.ravel()),
    )


def wilson_interval(correct: int, examples: int) -> tuple[float, float]:
    """The 95% score interval of a proportion; unlike the normal one it holds near 0 and 1."""
    from scipy.stats import binomtest

    interval = binomtest(correct, examples).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _cross_entropy(labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> float:
    """Mean negative log likelihood; a probability of 0 counts as float32's epsilon."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(of_truth, np.finfo(np.float32).eps, 1)).mean())


def _confusion(labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    cells = np.bincount(labels.astype(np.int64) * 10 + probabilities.argmax(axis=1), minlength=100)
    return cells.reshape(10, 10)


def _class_metrics(confusion: NDArray[np.int64]) -> list[ClassMetrics]:
    """A ratio over nothing (no image of the class, or none taken for it) is 0, as in scikit-learn."""
    hits, support, taken = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = hits / np.maximum(taken, 1), hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(taken + support, 1)
    return [
        ClassMetrics(
            label, float(precision[label]), float(recall[label]), float(f1[label]), int(support[label])
        )
        for label in range(10)
    ]


def _roc(positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> RocCurve:
    from sklearn.metrics import auc, roc_curve

    false_positives, true_positives, thresholds = roc_curve(positive, scores)
    points = np.unique(np.linspace(0, len(thresholds) - 1, CURVE_POINTS).round().astype(int))
    return RocCurve(
        false_positives[points].tolist(),
        true_positives[points].tolist(),
        # scikit-learn opens the curve with an infinite threshold, which JSON and KFP refuse.
        np.minimum(thresholds[points].astype(float), 1.0).tolist(),
        float(auc(false_positives, true_positives)),
    )
