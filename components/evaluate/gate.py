"""The decision: is the candidate to be registered as the new champion?"""

from dataclasses import dataclass
from typing import Literal

from components.common.errors import PipelineError
from components.evaluate.champion import ScoredChampion
from components.evaluate.compare import Verdict
from components.evaluate.metrics import Metrics


@dataclass(frozen=True)
class Decision:
    """`register` makes the candidate the champion, `keep` leaves the registry as it is.

    `verdict` compares candidate and champion; it is "first" where there is no champion.
    """

    action: Literal["register", "keep"]
    verdict: Verdict | Literal["first"]
    reasons: list[str]


def check_min_accuracy(min_accuracy: float) -> None:
    """Refuse a minimum accuracy that is no fraction."""
    if not 0 <= min_accuracy <= 1:
        raise PipelineError(f"min_accuracy must lie between 0 and 1 but got {min_accuracy}.")


def decide(candidate: Metrics, champion: ScoredChampion | None, min_accuracy: float) -> Decision:
    """Register a candidate that reaches `min_accuracy` and is at least as accurate as the champion.

    Being statistically equivalent is not enough: in a chain of champions, each a little less accurate than
    the one before, quality would drift downwards.

    Raises:
        PipelineError: `min_accuracy` is no fraction.
    """
    check_min_accuracy(min_accuracy)
    accurate = candidate.accuracy >= min_accuracy
    relation = "is not below" if accurate else "is below"
    reasons = [f"{_stated(candidate)} {relation} the minimum accuracy {min_accuracy:g}"]
    if champion is None:
        reasons.append("there is no champion yet" + (": first champion" if accurate else ""))
        return Decision("register" if accurate else "keep", "first", reasons)
    holds = candidate.accuracy >= champion.metrics.accuracy
    reasons.append(_against(candidate, champion, holds))
    action: Literal["register", "keep"] = "register" if accurate and holds else "keep"
    return Decision(action, champion.comparison.verdict, reasons)


def _stated(metrics: Metrics) -> str:
    low, high = metrics.accuracy_interval
    return f"{metrics.accuracy:.4f} (95% interval {low:.4f} to {high:.4f})"


def _against(candidate: Metrics, champion: ScoredChampion, holds: bool) -> str:
    paired = champion.comparison
    only_champion = paired.only_reference_right
    if not holds and paired.verdict == "equivalent":
        conclusion = (
            "equivalent, but less accurate, and a champion gives way only to a model at least as accurate"
        )
    else:
        conclusion = paired.verdict
    low, high = paired.difference_interval
    return (
        f"{candidate.accuracy:.4f} against {_stated(champion.metrics)} of the champion, {champion.name} "
        f"v{champion.version}: difference {paired.difference:+.4f} (95% interval {low:+.4f} to {high:+.4f}), "
        f"{only_champion} test image{'s' * (only_champion != 1)} only the champion gets right, "
        f"{paired.only_candidate_right} only the candidate, McNemar {paired.p}: {conclusion}"
    )
