"""How good predictions are, in numbers that survive JSON: plain ints and floats only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError
from components.evaluate.calibration import Reliability, reliability

CURVE_POINTS = 100
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest; `support` is its number of test images, with the 95% interval of the recall."""

    label: int
    precision: float
    recall: float
    recall_interval: tuple[float, float] | None
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
class PrecisionRecallCurve:
    """At most 100 points, by falling recall; `average_precision` sums the precision over the recall."""

    recall: list[float]
    precision: list[float]
    average_precision: float


@dataclass(frozen=True)
class ConfusedPair:
    """Images of class `truth` taken for `predicted`; `share` is their part of the class."""

    truth: int
    predicted: int
    count: int
    share: float


@dataclass(frozen=True)
class Metrics:
    """One model on the test split.

    `confusion[t][p]` counts the images of class t that were taken for p. `class_roc` and `class_pr` have an entry per
    class, None for a class without test images; `pooled_roc` counts all ten one-vs-rest decisions of an image alike.
    """

    examples: int
    errors: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    reliability: Reliability
    macro_f1: float
    macro_auc: float
    classes: list[ClassMetrics]
    confusion: list[list[int]]
    class_roc: list[RocCurve | None]
    pooled_roc: RocCurve
    class_pr: list[PrecisionRecallCurve | None]

    @property
    def loss(self) -> float:
        return self.reliability.nll

    def confused_pairs(self, limit: int = 10) -> list[ConfusedPair]:
        """List the pairs of classes that are confused most."""
        pairs = [
            ConfusedPair(truth, predicted, count, count / sum(row))
            for truth, row in enumerate(self.confusion)
            for predicted, count in enumerate(row)
            if count and truth != predicted
        ]
        return sorted(pairs, key=lambda pair: -pair.count)[:limit]

    def headline(self) -> dict[str, float]:
        """The numbers that say most, by the name to log them under."""
        return {
            "test_accuracy": self.accuracy,
            "test_loss": self.loss,
            "test_brier": self.reliability.brier,
            "test_ece": self.reliability.ece,
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
        reliability=reliability(labels, probabilities),
        macro_f1=float(np.mean([entry.f1 for entry in seen])),
        macro_auc=float(np.mean([curve.auc for curve in class_roc if curve])),
        classes=classes,
        confusion=confusion.tolist(),
        class_roc=class_roc,
        pooled_roc=_roc(np.eye(10, dtype=bool)[labels].ravel(), probabilities.ravel()),
        class_pr=[
            _precision_recall(labels == label, scores) if (labels == label).any() else None
            for label, scores in enumerate(probabilities.T)
        ],
    )


def wilson_interval(correct: int, examples: int) -> tuple[float, float]:
    """The 95% score interval of a proportion; unlike the normal one it holds near 0 and 1."""
    from scipy.stats import binomtest

    interval = binomtest(correct, examples).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


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
            label,
            float(precision[label]),
            float(recall[label]),
            wilson_interval(int(hits[label]), int(support[label])) if support[label] else None,
            float(f1[label]),
            int(support[label]),
        )
        for label in range(10)
    ]


def _roc(positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> RocCurve:
    from sklearn.metrics import auc, roc_curve

    false_positives, true_positives, thresholds = roc_curve(positive, scores)
    points = _thinned(len(thresholds))
    return RocCurve(
        false_positives[points].tolist(),
        true_positives[points].tolist(),
        # scikit-learn opens the curve with an infinite threshold, which JSON and KFP refuse.
        np.minimum(thresholds[points].astype(float), 1.0).tolist(),
        float(auc(false_positives, true_positives)),
    )


def _precision_recall(positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> PrecisionRecallCurve:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, scores)
    # One point a recall: most thresholds lie where every image of the class is found already.
    best = np.flatnonzero(np.diff(recall, append=-1))
    points = best[_thinned(len(best))]
    return PrecisionRecallCurve(
        recall[points].tolist(), precision[points].tolist(), float(-np.sum(np.diff(recall) * precision[:-1]))
    )


def _thinned(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, CURVE_POINTS).round().astype(np.int64))
