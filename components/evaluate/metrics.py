"""Classification metrics, as plain ints and floats so that JSON can hold them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError
from components.evaluate.calibration import Reliability, measure_reliability

# Points of a class's curve, and of the curves of all classes together.
CURVE_POINTS = 100
ALL_CURVES_POINTS = 5000
FEWEST_POINTS = 10
# Decisions that are ranked one by one; the scores of more are rounded before.
EXACT_DECISIONS = 2**23
# Bits of a float32 that rounding drops, rows that are rounded at a time, and rounded scores from 0 to 1.
ROUNDED_BITS = 12
ROUNDED_ROWS = 1000
ROUNDED_SCORES = (0x3F800000 >> ROUNDED_BITS) + 1
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
        balanced_accuracy: Mean recall over the classes that have test images.
        macro_f1: Mean over the classes that occur, as labels or as predictions.
        macro_auc: Mean over the classes that have test images.
        confusion: Class, class that it was taken for, and number of such images, for each two that occur.
        class_roc: One curve a class, None for a class without test images; 100 points for up to 50 classes, and fewer
            for more.
        pooled_roc: Curve over the one-vs-rest decisions of all classes together (micro average).
        class_pr: As `class_roc`.
    """

    examples: int
    errors: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    reliability: Reliability
    balanced_accuracy: float
    macro_f1: float
    macro_auc: float
    classes: list[ClassMetrics]
    confusion: list[tuple[int, int, int]]
    class_roc: list[RocCurve | None]
    pooled_roc: RocCurve
    class_pr: list[PrecisionRecallCurve | None]

    @property
    def loss(self) -> float:
        return self.reliability.nll

    def confused_pairs(self, limit: int = 10) -> list[ConfusedPair]:
        """List the pairs of classes that are confused most often, the most frequent first."""
        pairs = [
            ConfusedPair(truth, predicted, count, count / self.classes[truth].support)
            for truth, predicted, count in self.confusion
            if truth != predicted
        ]
        return sorted(pairs, key=lambda pair: -pair.count)[:limit]

    def confusion_matrix(self, labels: Sequence[int]) -> NDArray[np.int64]:
        """Return the number of images of each of these classes, by row, that were taken for each, by column."""
        places = {label: place for place, label in enumerate(labels)}
        counts = np.zeros((len(places), len(places)), np.int64)
        for truth, predicted, count in self.confusion:
            if truth in places and predicted in places:
                counts[places[truth], places[predicted]] = count
        return counts

    def headline(self) -> dict[str, float]:
        """Return the most important numbers by the name to log them under."""
        return {
            "test_accuracy": self.accuracy,
            "test_loss": self.loss,
            "test_brier": self.reliability.brier,
            "test_ece": self.reliability.ece,
            "test_balanced_accuracy": self.balanced_accuracy,
            "test_macro_f1": self.macro_f1,
            "test_macro_auc": self.macro_auc,
            "test_errors": float(self.errors),
        }


def measure_predictions(labels: NDArray[np.integer], probabilities: NDArray[np.float32]) -> Metrics:
    """Measure predictions.

    Args:
        labels: Integers, N, N > 0.
        probabilities: float32, N x classes.

    Raises:
        PipelineError: All labels are of one class, so that no ROC curve exists.
    """
    if (labels == labels[0]).all():
        raise PipelineError(
            f"A test split must hold images of several classes but all are of class {labels[0]}: "
            "use other test data."
        )
    size = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    classes = _class_metrics(labels, predicted, size)
    answered = np.bincount(predicted, minlength=size)
    points = min(CURVE_POINTS, max(FEWEST_POINTS, ALL_CURVES_POINTS // size))
    curves = [
        _class_curves(labels == entry.label, probabilities[:, entry.label], points) if entry.support else None
        for entry in classes
    ]
    class_roc = [curve[0] if curve else None for curve in curves]
    correct = int((labels == predicted).sum())
    return Metrics(
        examples=len(labels),
        errors=len(labels) - correct,
        accuracy=correct / len(labels),
        accuracy_interval=wilson_interval(correct, len(labels)),
        reliability=measure_reliability(labels, probabilities),
        balanced_accuracy=float(np.mean([entry.recall for entry in classes if entry.support])),
        macro_f1=float(np.mean([entry.f1 for entry in classes if entry.support or answered[entry.label]])),
        macro_auc=float(np.mean([curve.auc for curve in class_roc if curve])),
        classes=classes,
        confusion=_confusion(labels, predicted),
        class_roc=class_roc,
        pooled_roc=_pooled_roc(labels, probabilities),
        class_pr=[curve[1] if curve else None for curve in curves],
    )


def _confusion(labels: NDArray[np.integer], predicted: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    pairs, counts = np.unique(np.stack([labels, predicted], axis=1), axis=0, return_counts=True)
    return [
        (truth, guess, count) for (truth, guess), count in zip(pairs.tolist(), counts.tolist(), strict=True)
    ]


def wilson_interval(correct: int, examples: int) -> tuple[float, float]:
    """Return the 95% score interval of a proportion; unlike the normal interval it is valid near 0 and 1."""
    from scipy.stats import binomtest

    interval = binomtest(correct, examples).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def _class_metrics(
    labels: NDArray[np.integer], predicted: NDArray[np.int64], size: int
) -> list[ClassMetrics]:
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


def _class_curves(
    positive: NDArray[np.bool_], scores: NDArray[np.float32], points: int
) -> tuple[RocCurve, PrecisionRecallCurve]:
    return _roc_curve(positive, scores, points), _precision_recall_curve(positive, scores, points)


def _pooled_roc(labels: NDArray[np.integer], probabilities: NDArray[np.float32]) -> RocCurve:
    """Return the curve over the decisions of all classes.

    Ranking takes dozens of bytes a decision. Where there are more than `EXACT_DECISIONS`, equal decisions are counted
    instead, with scores rounded down to 12 significant binary digits.
    """
    rows = np.arange(len(labels))
    if probabilities.size <= EXACT_DECISIONS:
        positive = np.zeros(probabilities.shape, bool)
        positive[rows, labels] = True
        return _roc_curve(positive.ravel(), probabilities.ravel(), CURVE_POINTS)
    right = _counted(probabilities[rows, labels])
    wrong = -right
    for start in range(0, len(rows), ROUNDED_ROWS):
        wrong += _counted(probabilities[start : start + ROUNDED_ROWS].ravel())
    rounded = (np.arange(ROUNDED_SCORES, dtype=np.uint32) << ROUNDED_BITS).view(np.float32)
    of_right = np.repeat([True, False], ROUNDED_SCORES)
    return _roc_curve(of_right, np.tile(rounded, 2), CURVE_POINTS, np.concatenate([right, wrong]))


def _counted(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count scores of 0 to 1 by their leading bits; the bits of positive floating-point numbers rise with them."""
    bits = np.minimum(scores, 1).view(np.uint32)
    return np.bincount(bits >> ROUNDED_BITS, minlength=ROUNDED_SCORES)


def _roc_curve(
    positive: NDArray[np.bool_],
    scores: NDArray[np.float32],
    points: int,
    counts: NDArray[np.int64] | None = None,
) -> RocCurve:
    from sklearn.metrics import auc, roc_curve

    false_positives, true_positives, thresholds = roc_curve(positive, scores, sample_weight=counts)
    shown = _thinned(len(thresholds), points)
    return RocCurve(
        false_positives[shown].tolist(),
        true_positives[shown].tolist(),
        # scikit-learn's first threshold is infinite, which JSON and KFP refuse.
        np.minimum(thresholds[shown].astype(float), 1.0).tolist(),
        float(auc(false_positives, true_positives)),
    )


def _precision_recall_curve(
    positive: NDArray[np.bool_], scores: NDArray[np.float32], points: int
) -> PrecisionRecallCurve:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, scores)
    # One point a recall: below most thresholds every image of the class has already been found.
    best = np.flatnonzero(np.diff(recall, append=-1))
    shown = best[_thinned(len(best), points)]
    return PrecisionRecallCurve(
        recall[shown].tolist(),
        precision[shown].tolist(),
        float(average_precision_score(positive, scores)),
    )


def _thinned(count: int, points: int) -> NDArray[np.int64]:
    """Return at most `points` evenly spaced indices below `count`, the first and the last included."""
    return np.unique(np.linspace(0, count - 1, points).round().astype(np.int64))
