"""Classification metrics, as plain ints and floats so that JSON can hold them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError
from components.evaluate.calibration import Reliability, measure_reliability

CURVE_POINTS = 100
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest.

    Attributes:
        recall_interval: 95% Wilson interval; None for a class without test images.
        support: Number of test images of the class.
    """

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
    """At most 100 points, by falling recall; `average_precision` is computed from all points."""

    recall: list[float]
    precision: list[float]
    average_precision: float


@dataclass(frozen=True)
class ConfusedPair:
    """Images of class `truth` taken for `predicted`; `share` is their fraction of the class."""

    truth: int
    predicted: int
    count: int
    share: float


@dataclass(frozen=True)
class Metrics:
    """One model on the test split.

    Attributes:
        accuracy_interval: 95% Wilson interval.
        macro_f1: Mean over the classes that occur, as labels or as predictions.
        macro_auc: Mean over the classes that have test images.
        confusion: `confusion[t][p]` is the number of images of class t that were taken for p.
        class_roc: One curve a class, None for a class without test images.
        pooled_roc: Curve over the one-vs-rest decisions of all classes together (micro average).
        class_pr: One curve a class, None for a class without test images.
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
        """List the pairs of classes that are confused most often, the most frequent first."""
        pairs = [
            ConfusedPair(truth, predicted, count, count / sum(row))
            for truth, row in enumerate(self.confusion)
            for predicted, count in enumerate(row)
            if count and truth != predicted
        ]
        return sorted(pairs, key=lambda pair: -pair.count)[:limit]

    def headline(self) -> dict[str, float]:
        """Return the most important numbers by the name to log them under."""
        return {
            "test_accuracy": self.accuracy,
            "test_loss": self.loss,
            "test_brier": self.reliability.brier,
            "test_ece": self.reliability.ece,
            "test_macro_f1": self.macro_f1,
            "test_macro_auc": self.macro_auc,
            "test_errors": float(self.errors),
        }


def measure_predictions(labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> Metrics:
    """Measure predictions.

    Args:
        labels: uint8, N, N > 0.
        probabilities: float32, N x classes.

    Raises:
        PipelineError: All labels are of one class, so that no ROC curve exists.
    """
    from sklearn.metrics import confusion_matrix

    if (labels == labels[0]).all():
        raise PipelineError(
            f"A test split must hold images of several classes but all are of class {labels[0]}: "
            "use other test data."
        )
    size = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, labels=range(size))
    classes = _class_metrics(labels, predicted, size)
    occurring = [entry for entry in classes if entry.support or confusion[:, entry.label].any()]
    # One class against the rest; None for a class without test images.
    decisions = [
        (positive, scores) if (positive := labels == label).any() else None
        for label, scores in enumerate(probabilities.T)
    ]
    class_roc = [_roc_curve(*decision) if decision else None for decision in decisions]
    correct = int(np.trace(confusion))
    return Metrics(
        examples=len(labels),
        errors=len(labels) - correct,
        accuracy=correct / len(labels),
        accuracy_interval=wilson_interval(correct, len(labels)),
        reliability=measure_reliability(labels, probabilities),
        macro_f1=float(np.mean([entry.f1 for entry in occurring])),
        macro_auc=float(np.mean([curve.auc for curve in class_roc if curve])),
        classes=classes,
        confusion=confusion.tolist(),
        class_roc=class_roc,
        pooled_roc=_roc_curve(np.eye(size, dtype=bool)[labels].ravel(), probabilities.ravel()),
        class_pr=[_precision_recall_curve(*decision) if decision else None for decision in decisions],
    )


def wilson_interval(correct: int, examples: int) -> tuple[float, float]:
    """Return the 95% score interval of a proportion; unlike the normal interval it is valid near 0 and 1."""
    from scipy.stats import binomtest

    interval = binomtest(correct, examples).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _class_metrics(labels: NDArray[np.uint8], predicted: NDArray[np.int64], size: int) -> list[ClassMetrics]:
    """Measure each class; a ratio over nothing (no image of the class, or none taken for it) is 0."""
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=range(size), zero_division=0
    )
    hits = np.bincount(labels[labels == predicted], minlength=size)
    return [
        ClassMetrics(
            label,
            float(precision[label]),
            float(recall[label]),
            wilson_interval(int(hits[label]), int(support[label])) if support[label] else None,
            float(f1[label]),
            int(support[label]),
        )
        for label in range(size)
    ]


def _roc_curve(positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> RocCurve:
    from sklearn.metrics import auc, roc_curve

    false_positives, true_positives, thresholds = roc_curve(positive, scores)
    points = _thinned(len(thresholds))
    return RocCurve(
        false_positives[points].tolist(),
        true_positives[points].tolist(),
        # scikit-learn's first threshold is infinite, which JSON and KFP refuse.
        np.minimum(thresholds[points].astype(float), 1.0).tolist(),
        float(auc(false_positives, true_positives)),
    )


def _precision_recall_curve(positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> PrecisionRecallCurve:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, scores)
    # One point a recall: below most thresholds every image of the class has already been found.
    best = np.flatnonzero(np.diff(recall, append=-1))
    points = best[_thinned(len(best))]
    return PrecisionRecallCurve(
        recall[points].tolist(),
        precision[points].tolist(),
        float(average_precision_score(positive, scores)),
    )


def _thinned(count: int) -> NDArray[np.int64]:
    """Return at most 100 evenly spaced indices below `count`, the first and the last included."""
    return np.unique(np.linspace(0, count - 1, CURVE_POINTS).round().astype(np.int64))
