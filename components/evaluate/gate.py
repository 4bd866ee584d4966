"""The decision whether the candidate is registered as the new champion."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.common.data.dataset import Split
from components.common.data.spec import DIGITS
from components.evaluate.champion import ScoredChampion
from components.evaluate.compare import SIGNIFICANCE, Comparison, Verdict
from components.evaluate.metrics import Metrics


@dataclass(frozen=True)
class Decision:
    """The decision on a candidate.

    Attributes:
        action: `register` makes the candidate the champion, `keep` changes nothing.
        verdict: The candidate compared with the champion; "first" where there is no champion, "identical" where it is
            the champion itself.
        reasons: One sentence a reason.
    """

    action: Literal["register", "keep"]
    verdict: Verdict | Literal["first", "identical"]
    reasons: list[str]


Promote = Literal["better", "as-accurate"]

# For sets of ten digits, which every network that has learned anything passes.
DIGITS_ACCURACY = 0.95


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


def largest_p(decision: int) -> float:
    """Return the p value below which a better candidate is promoted in the n-th decision on one test split.

    The first decision is an ordinary test at 5%. A test split that decides again and again selects champions that are
    lucky on it. 5% / n² adds up to 8.2% over all decisions, two-sided: with candidates as good as the first champion,
    at most one test split in 24 ever promotes one.
    """
    return SIGNIFICANCE / decision**2


def decide(
    candidate: Metrics,
    champion: ScoredChampion | None,
    min_accuracy: float,
    origin: str = "",
    promote: Promote = "better",
) -> Decision:
    """Register a candidate that reaches `min_accuracy` and may take the champion's place.

    Args:
        candidate: Its results.
        champion: Its results, if there is one.
        min_accuracy: Accuracy below which nothing is registered.
        origin: Where `min_accuracy` comes from, as a clause that follows it.
        promote: "better" asks for a candidate that is better than the champion, with a p value below `largest_p`;
            "as-accurate" for one that gets as many test images right.
    """
    if champion and champion.identical:
        same = f"the candidate has the weights of the champion, {champion.name} v{champion.version}"
        return Decision("keep", "identical", [f"{same}: there is nothing to decide"])
    accurate = candidate.accuracy >= min_accuracy
    relation = "is not below" if accurate else "is below"
    reasons = [f"{_with_interval(candidate)} {relation} the minimum accuracy {min_accuracy:g}{origin}"]
    if champion is None:
        reasons.append("there is no champion yet" + (": first champion" if accurate else ""))
        return Decision("register" if accurate else "keep", "first", reasons)
    paired = champion.comparison
    reasons.append(_comparison(candidate, champion))
    if promote == "better":
        limit = largest_p(champion.decision)
        promoted = paired.verdict == "better" and paired.p_value < limit
        reasons.append(
            f"decision {champion.decision} on this test split promotes a better candidate with p below {limit:.2g}"
            f"{'' if promoted else ': not promoted'}"
        )
    else:
        promoted = candidate.accuracy >= champion.metrics.accuracy
        reasons.append(
            f"as gate.promote says, a candidate {'is promoted that is' if promoted else 'has to be'} as accurate as "
            f"the champion on the test split{'' if promoted else ': not promoted'}"
        )
    if champion.other_test_data:
        reasons.append("the champion was registered on other test data; both are scored on this run's")
    return Decision("register" if accurate and promoted else "keep", paired.verdict, reasons)


def _with_interval(metrics: Metrics) -> str:
    low, high = metrics.accuracy_interval
    return f"{metrics.accuracy:.4f} (95% interval {low:.4f} to {high:.4f})"


def _comparison(candidate: Metrics, champion: ScoredChampion) -> str:
    paired = champion.comparison
    only_champion = paired.only_reference_right
    low, high = paired.difference_interval
    return (
        f"{candidate.accuracy:.4f} against {_with_interval(champion.metrics)} of the champion, {champion.name} "
        f"v{champion.version}: difference {paired.difference:+.4f} (95% interval {low:+.4f} to {high:+.4f}), "
        f"{only_champion} test image{'s' * (only_champion != 1)} only the champion gets right, "
        f"{paired.only_candidate_right} only the candidate, {paired.p}: {verdict_in_words(paired)}"
    )


def verdict_in_words(paired: Comparison) -> str:
    """Return the verdict, with what it means where no difference was found."""
    if paired.verdict == "equivalent":
        return f"equivalent within {paired.margin:g}"
    if paired.verdict == "undecided":
        return f"undecided, since a true gain of {paired.margin:g} would be found in {paired.power:.0%} of such tests"
    return paired.verdict
