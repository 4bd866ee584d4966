"""Classification metrics, as plain ints and floats so that JSON can hold them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from components.evaluate.calibration import Reliability, measure_reliability
from components.evaluate.intervals import Interval, mean_interval, share_interval, share_intervals

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
# A figure that the test images cannot tell, and its interval.
UNKNOWN: tuple[None, None] = (None, None)

Estimate = tuple[float, Interval] | tuple[None, None]


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the rest.

    A figure is None where the test split cannot tell it: all of a class without test images, and the precision of one
    that no image is taken for. Intervals are for 95%.

    Attributes:
        f1_interval: Of the share that F1 stands for: the class's hits among all images that are of it or taken for it.
        support: Number of test images of the class.
    """

    label: int
    precision: float | None
    precision_interval: Interval | None
    recall: float | None
    recall_interval: Interval | None
    f1: float | None
    f1_interval: Interval | None
    support: int


@dataclass(frozen=True)
class RocCurve:
    """At most 100 points, from (0, 0) to (1, 1); thresholds fall from 1 and are finite.

    Attributes:
        auc_interval: That of a share of as many images as the smaller of the two sides has. No distribution of the
            scores gives the area a larger variance (Birnbaum and Klose 1957). None where the decisions are not
            independent, as those of all classes together.
    """

    false_positive_rate: list[float]
    true_positive_rate: list[float]
    thresholds: list[float]
    auc: float
    auc_interval: Interval | None


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

    Means over classes are over those that have test images. Intervals are for 95%.

    Attributes:
        balanced_accuracy: Mean recall.
        macro_f1: Mean F1.
        macro_auc: Mean area under the ROC curve; None where all images are of one class, which has no curve.
        confusion: Class, class that it was taken for, and number of such images, for each two that occur.
        class_roc: One curve a class, None for a class that all test images are of, or none; 100 points for up to 50
            classes, and fewer for more.
        pooled_roc: Curve over the one-vs-rest decisions of all classes together (micro average).
        class_pr: As `class_roc`.
    """

    examples: int
    errors: int
    accuracy: float
    accuracy_interval: Interval
    reliability: Reliability
    balanced_accuracy: float
    balanced_accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    macro_auc: float | None
    macro_auc_interval: Interval | None
    classes: list[ClassMetrics]
    confusion: list[tuple[int, int, int]]
    class_roc: list[RocCurve | None]
    pooled_roc: RocCurve
    class_pr: list[PrecisionRecallCurve | None]

    @property
    def loss(self) -> float:
        return self.reliability.nll

    @property
    def over(self) -> str:
        """Over which classes means are, as the end of a name; empty where all have test images."""
        seen = sum(entry.support > 0 for entry in self.classes)
        return "" if seen == len(self.classes) else f", over {seen:,} of {len(self.classes):,} classes"

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
        known = {} if self.macro_auc is None else {"test_macro_auc": self.macro_auc}
        return known | {
            "test_accuracy": self.accuracy,
            "test_loss": self.loss,
            "test_brier": self.reliability.brier,
            "test_ece": self.reliability.ece,
            "test_balanced_accuracy": self.balanced_accuracy,
            "test_macro_f1": self.macro_f1,
            "test_errors": float(self.errors),
        }


def measure_predictions(labels: NDArray[np.integer], probabilities: NDArray[np.float32]) -> Metrics:
    """Measure predictions.

    Args:
        labels: Integers, N, N > 0.
        probabilities: float32, N x classes.
    """
    size = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    counts = _Counts.of(labels, predicted, size)
    classes = counts.class_metrics()
    points = min(CURVE_POINTS, max(FEWEST_POINTS, ALL_CURVES_POINTS // size))
    curves = [
        _class_curves(labels == entry.label, probabilities[:, entry.label], points)
        if 0 < entry.support < len(labels)
        else None
        for entry in classes
    ]
    class_roc = [curve[0] if curve else None for curve in curves]
    correct = int((labels == predicted).sum())
    auc, auc_interval = _macro_auc(class_roc, counts.support)
    return Metrics(
        examples=len(labels),
        errors=len(labels) - correct,
        accuracy=correct / len(labels),
        accuracy_interval=share_interval(correct, len(labels)),
        reliability=measure_reliability(labels, probabilities),
        balanced_accuracy=float(np.mean([entry.recall for entry in classes if entry.recall is not None])),
        balanced_accuracy_interval=counts.recall_interval(),
        macro_f1=float(np.mean([entry.f1 for entry in classes if entry.f1 is not None])),
        macro_f1_interval=counts.f1_interval(),
        macro_auc=auc,
        macro_auc_interval=auc_interval,
        classes=classes,
        confusion=counts.confusion,
        class_roc=class_roc,
        pooled_roc=_pooled_roc(labels, probabilities),
        class_pr=[curve[1] if curve else None for curve in curves],
    )


@dataclass(frozen=True, eq=False)
class _Counts:
    """Images by class and answer.

    Attributes:
        confusion: Class, class that it was taken for, and number of such images, for each two that occur.
        hits: Images of each class that were taken for it.
        support: Images of each class.
        answered: Images that were taken for each class.
    """

    confusion: list[tuple[int, int, int]]
    hits: NDArray[np.int64]
    support: NDArray[np.int64]
    answered: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.integer], predicted: NDArray[np.int64], size: int) -> "_Counts":
        pairs, counts = np.unique(np.stack([labels, predicted], axis=1), axis=0, return_counts=True)
        confusion = [
            (truth, guess, count)
            for (truth, guess), count in zip(pairs.tolist(), counts.tolist(), strict=True)
        ]
        by_class = (labels[labels == predicted], labels, predicted)
        return cls(confusion, *(np.bincount(rows, minlength=size) for rows in by_class))

    def class_metrics(self) -> list[ClassMetrics]:
        hits, support, answered = self.hits, self.support, self.answered
        # F1 rises with the share of the hits in all images that are of the class or taken for it.
        overlaps = _shares(hits, support + answered - hits)
        f1s: list[Estimate] = [
            UNKNOWN if share is None or bounds is None else (_f1(share), (_f1(bounds[0]), _f1(bounds[1])))
            for share, bounds in overlaps
        ]
        figures = zip(_shares(hits, answered), _shares(hits, support), f1s, support.tolist(), strict=True)
        return [
            ClassMetrics(label, *UNKNOWN, *UNKNOWN, *UNKNOWN, 0)
            if count == 0
            else ClassMetrics(label, precision, precise, recall, recalled, f1, balanced, count)
            for label, ((precision, precise), (recall, recalled), (f1, balanced), count) in enumerate(figures)
        ]

    def recall_interval(self) -> Interval:
        """Return the interval of the mean recall."""
        present = self.support > 0
        weights = 1 / self.support[present] / present.sum()
        hits = self.hits[present]
        return mean_interval((hits, weights), (self.support[present] - hits, weights))

    def f1_interval(self) -> Interval:
        """Return the interval of the mean F1: a mistake takes from that of two classes."""
        present = self.support > 0
        each = np.where(present, 1 / np.maximum(self.support + self.answered, 1), 0.0) / present.sum()
        mistakes = [cell for cell in self.confusion if cell[0] != cell[1]]
        truth, guess, counts = np.array([*mistakes, (0, 0, 0)]).T
        weights = each[truth] + each[guess]
        weights[-1] = np.sort(each)[-2:].sum()
        return mean_interval((self.hits, 2 * each), (counts, weights))


def _shares(hits: NDArray[np.int64], totals: NDArray[np.int64]) -> list[Estimate]:
    """Return each share with its interval; nothing is known of a share of nothing."""
    bounds = share_intervals(hits, np.maximum(totals, 1)).tolist()
    counts = zip(hits.tolist(), totals.tolist(), bounds, strict=True)
    return [(hit / total, (low, high)) if total else UNKNOWN for hit, total, (low, high) in counts]


def _f1(overlap: float) -> float:
    return 2 * overlap / (1 + overlap)


def _macro_auc(curves: Sequence[RocCurve | None], support: NDArray[np.int64]) -> Estimate:
    """Return the mean area, with an interval for areas that may depend on each other as those of two classes do."""
    known = [label for label, curve in enumerate(curves) if curve]
    if not known:
        return UNKNOWN
    areas = np.array([curve.auc for curve in curves if curve])
    images = np.minimum(support, support.sum() - support)[known]
    weights = 2 / images / len(known)
    interval = mean_interval((areas * images / 2, weights), ((1 - areas) * images / 2, weights))
    return float(areas.mean()), interval


def _class_curves(
    positive: NDArray[np.bool_], scores: NDArray[np.float32], points: int
) -> tuple[RocCurve, PrecisionRecallCurve]:
    curve = _roc_curve(positive, scores, points)
    smaller = min(int(positive.sum()), int((~positive).sum()))
    known = replace(curve, auc_interval=share_interval(curve.auc * smaller, smaller))
    return known, _precision_recall_curve(positive, scores, points)


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
        None,
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
