"""The decision whether the candidate is registered as the new champion."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.common.data.dataset import Split
from components.common.data.spec import DIGITS
from components.common.errors import PipelineError
from components.evaluate.champion import ScoredChampion
from components.evaluate.compare import Verdict
from components.evaluate.metrics import Metrics


@dataclass(frozen=True)
class Decision:
    """The decision on a candidate.

    Attributes:
        action: `register` makes the candidate the champion, `keep` changes nothing.
        verdict: The candidate compared with the champion; "first" where there is no champion.
        reasons: One sentence a reason.
    """

    action: Literal["register", "keep"]
    verdict: Verdict | Literal["first"]
    reasons: list[str]


# For sets of ten digits, which every network that has learned anything passes.
DIGITS_ACCURACY = 0.95


def check_min_accuracy(min_accuracy: float) -> None:
    """Refuse a minimum accuracy that is not between 0 and 1."""
    if not 0 <= min_accuracy <= 1:
        raise PipelineError(
            f"min_accuracy must lie between 0 and 1 but got {min_accuracy}: give a fraction, such as 0.97."
        )


def required_accuracy(min_accuracy: float | None, test: Split) -> tuple[float, str]:
    """Return the accuracy that a candidate needs on the test split, and where it comes from, as a clause.

    Args:
        min_accuracy: The plan's; None for 0.95 on images of ten digits, and for one image more than guessing gets right
            on other data.
        test: The test split.
    """
    if min_accuracy is not None:
        return min_accuracy, ""
    if test.spec.pictures == "digit" and len(test.spec.classes) == len(DIGITS):
        return DIGITS_ACCURACY, ""
    counts = np.bincount(test.labels)
    most_frequent = test.spec.classes[counts.argmax()]
    return (
        (int(counts.max()) + 1) / len(test.labels),
        f", one image more than the answer {most_frequent!r} to all would get right",
    )


def decide(
    candidate: Metrics, champion: ScoredChampion | None, min_accuracy: float, origin: str = ""
) -> Decision:
    """Register a candidate that reaches `min_accuracy` and is at least as accurate as the champion.

    Statistical equivalence is not enough: each new champion could be a little less accurate than the one before, and
    accuracy would fall from champion to champion.

    Args:
        candidate: Its results.
        champion: Its results, if there is one.
        min_accuracy: Accuracy below which nothing is registered.
        origin: Where `min_accuracy` comes from, as a clause that follows it.

    Raises:
        PipelineError: `min_accuracy` is not between 0 and 1.
    """
    check_min_accuracy(min_accuracy)
    accurate = candidate.accuracy >= min_accuracy
    relation = "is not below" if accurate else "is below"
    reasons = [f"{_with_interval(candidate)} {relation} the minimum accuracy {min_accuracy:g}{origin}"]
    if champion is None:
        reasons.append("there is no champion yet" + (": first champion" if accurate else ""))
        return Decision("register" if accurate else "keep", "first", reasons)
    as_accurate = candidate.accuracy >= champion.metrics.accuracy
    reasons.append(_comparison(candidate, champion, as_accurate=as_accurate))
    if champion.other_test_data:
        reasons.append("the champion was registered on other test data; both are scored on this run's")
    action: Literal["register", "keep"] = "register" if accurate and as_accurate else "keep"
    return Decision(action, champion.comparison.verdict, reasons)


def _with_interval(metrics: Metrics) -> str:
    low, high = metrics.accuracy_interval
    return f"{metrics.accuracy:.4f} (95% interval {low:.4f} to {high:.4f})"


def _comparison(candidate: Metrics, champion: ScoredChampion, *, as_accurate: bool) -> str:
    paired = champion.comparison
    only_champion = paired.only_reference_right
    if not as_accurate and paired.verdict == "equivalent":
        conclusion = "equivalent, but less accurate than the champion: not promoted"
    else:
        conclusion = paired.verdict
    low, high = paired.difference_interval
    return (
        f"{candidate.accuracy:.4f} against {_with_interval(champion.metrics)} of the champion, {champion.name} "
        f"v{champion.version}: difference {paired.difference:+.4f} (95% interval {low:+.4f} to {high:+.4f}), "
        f"{only_champion} test image{'s' * (only_champion != 1)} only the champion gets right, "
        f"{paired.only_candidate_right} only the candidate, McNemar {paired.p}: {conclusion}"
    )
