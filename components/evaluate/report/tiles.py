"""Headline, certainty and numbers of the report's first screen."""

from dataclasses import dataclass

from components.common.data.spec import ImageSpec
from components.evaluate.champion import ScoredChampion
from components.evaluate.compare import Comparison
from components.evaluate.gate import largest_p
from components.evaluate.metrics import Metrics
from components.evaluate.result import Evaluation
from components.evaluate.robustness import mean_robustness
from components.evaluate.selective import Selective

MINUS = "\N{MINUS SIGN}"
MOST_IN_A_ROW = 50
# Number of times that the largest class is larger than the smallest from which the balanced accuracy is a headline.
IMBALANCED = 3
RELATIONS = {
    "better": "better than",
    "worse": "worse than",
    "equivalent": "equivalent to",
    "undecided": "not shown to differ from",
}


@dataclass(frozen=True)
class Tile:
    """One number of the candidate; `note` gives numbers to compare it with."""

    name: str
    value: str
    note: str


def headline(evaluation: Evaluation) -> str:
    """Return the decision in one line."""
    candidate, champion = f"the {evaluation.candidate} model", evaluation.champion
    if evaluation.decision.action == "register":
        if champion is None:
            return f"Register {candidate} as the first champion"
        relation = RELATIONS[champion.comparison.verdict]
        return f"Register {candidate}: it is {relation} champion v{champion.version}"
    if champion is None or evaluation.candidate_metrics.accuracy < evaluation.min_accuracy:
        return f"Register nothing: {candidate} is below the minimum accuracy"
    kept = f"Keep champion v{champion.version}: {candidate} is"
    if champion.identical:
        return f"{kept} the champion, weight for weight"
    if champion.comparison.verdict == "better":
        return f"{kept} better, but not by enough for decision {champion.decision} on this test split"
    return f"{kept} {RELATIONS[champion.comparison.verdict]} it"


def certainty(evaluation: Evaluation) -> str:
    """Return what was shown of the difference to the champion, and what was not."""
    champion = evaluation.champion
    if champion is None:
        return "There is no champion to compare with: this is the first model."
    paired = champion.comparison
    low, high = (points(bound) for bound in paired.difference_interval)
    measured = (
        f"On these images the accuracies differ by {points(paired.difference)} points; the true difference lies "
        f"between {low} and {high} with 95% confidence ({paired.p})."
    )
    margin = f"{paired.margin * 100:g} points"
    shown = {
        "better": "Chance alone hardly makes so much.",
        "worse": "Chance alone hardly makes so much.",
        "equivalent": f"It is shown to be smaller than {margin}.",
        "undecided": "It may be chance, and it may be real: with so many images that differ, this test split finds a "
        f"true gain of {margin} in {paired.power:.0%} of cases.",
    }
    return f"{measured} {shown[paired.verdict]}{_wear(champion)}"


def _wear(champion: ScoredChampion) -> str:
    """Return what earlier decisions on the test split mean for this one."""
    if champion.decision == 1 or champion.identical:
        return ""
    said, limit = f" This is decision {champion.decision} on this test split", largest_p(champion.decision)
    if champion.comparison.verdict != "better" or champion.comparison.p_value < limit:
        return f"{said}."
    return (
        f"{said}, and of several candidates one looks better by luck: so it asks for p below {limit:.2g}. New test "
        "images would decide afresh."
    )


def images_in_words(spec: ImageSpec) -> str:
    """Return kind, type and shape of the images."""
    return f"{'grey' if spec.channels == 1 else 'colour'} images, uint8, N x {spec.size}"


def class_order(names: tuple[str, ...]) -> str:
    """Return the names of the classes in a row; of many, the first and the last."""
    if len(names) > MOST_IN_A_ROW:
        names = (*names[: MOST_IN_A_ROW // 2], f"... ({len(names):,} in all)", names[-1])
    return ", ".join(names)


def points(fraction: float) -> str:
    """Return a difference of accuracies in percentage points."""
    return f"{fraction * 100:+.2f}".replace("-", MINUS)


def interval(metrics: Metrics) -> str:
    """Return the 95% interval of the accuracy."""
    low, high = metrics.accuracy_interval
    return f"{low:.4f}\N{EN DASH}{high:.4f}"


def headline_tiles(evaluation: Evaluation) -> list[Tile]:
    """Return the headline numbers of the candidate, in order."""
    candidate, champion = evaluation.candidate_metrics, evaluation.champion
    champion_profile, seeds = evaluation.champion_profile, evaluation.candidate_seeds
    reference = champion.metrics if champion else None
    uncalibrated = evaluation.calibration.uncalibrated.ece
    return [
        Tile(
            "Test accuracy",
            f"{candidate.accuracy:.4f}",
            interval(candidate)
            + (f"; champion {reference.accuracy:.4f}" if reference else "")
            + (f"; {seeds.stated('test')} over {len(seeds.seeds)} seeds" if seeds else ""),
        ),
        *([_balanced(candidate, reference)] if _imbalanced(candidate) else []),
        Tile(
            "Mistakes",
            f"{candidate.errors:,}",
            f"of {candidate.examples:,}" + (f"; champion {reference.errors:,}" if reference else ""),
        ),
        *([_gain(champion.comparison)] if champion else []),
        Tile(
            "Calibration error",
            f"{candidate.reliability.ece:.4f}",
            f"chance alone: up to {candidate.reliability.ece_by_chance_bound:.4f}; {uncalibrated:.4f} as trained"
            + (f"; champion {reference.reliability.ece:.4f}" if reference else ""),
        ),
        _sure(evaluation.selective),
        Tile(
            "Corrupted images",
            f"{mean_robustness(evaluation.profile.robustness):.3f}",
            "mean accuracy"
            + (f"; champion {mean_robustness(champion_profile.robustness):.3f}" if champion_profile else ""),
        ),
    ]


def _imbalanced(metrics: Metrics) -> bool:
    sizes = [entry.support for entry in metrics.classes]
    return max(sizes) > IMBALANCED * min(sizes)


def _balanced(metrics: Metrics, reference: Metrics | None) -> Tile:
    return Tile(
        "Balanced accuracy",
        f"{metrics.balanced_accuracy:.4f}",
        "mean recall of the classes" + (f"; champion {reference.balanced_accuracy:.4f}" if reference else ""),
    )


def _sure(selective: Selective) -> Tile:
    if not selective.accepted:
        return Tile("Answers when sure", "none", "no answer is sure enough")
    noun = "mistake" if selective.accepted_errors == 1 else "mistakes"
    return Tile(
        "Answers when sure",
        f"{selective.threshold_coverage:.1%}",
        f"{selective.accepted_errors} {noun} among {selective.accepted:,}",
    )


def _gain(paired: Comparison) -> Tile:
    return Tile("Gain, in points", points(paired.difference), f"{paired.verdict}, {paired.p}")
