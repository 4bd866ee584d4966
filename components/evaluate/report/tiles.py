"""The first screen in numbers: is the candidate better than the champion, and how sure is that?"""

from dataclasses import dataclass

from components.evaluate.compare import Comparison
from components.evaluate.evaluation import Evaluation
from components.evaluate.metrics import Metrics
from components.evaluate.robustness import mean_robustness

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Tile:
    """One number of the candidate, and what to hold it against."""

    name: str
    value: str
    note: str


def certainty(evaluation: Evaluation) -> str:
    """Say how sure the verdict is."""
    if evaluation.champion is None:
        return "There is no champion to compare with: this is the first model to be judged."
    paired = evaluation.champion.comparison
    low, high = (points(bound) for bound in paired.difference_interval)
    told = f"the true difference lies between {low} and {high} points with 95% confidence"
    p = f"exact McNemar test, {paired.p}"
    if paired.verdict == "equivalent":
        return f"The difference of {points(paired.difference)} points may be chance: {told} ({p})."
    return f"The difference of {points(paired.difference)} points is hardly chance: {told} ({p})."


def points(fraction: float) -> str:
    """Return a difference of accuracies in percentage points."""
    return f"{fraction * 100:+.2f}".replace("-", MINUS)


def interval(metrics: Metrics) -> str:
    low, high = metrics.accuracy_interval
    return f"{low:.4f}\N{EN DASH}{high:.4f}"


def tiles(evaluation: Evaluation) -> list[Tile]:
    candidate, champion = evaluation.candidate_metrics, evaluation.champion
    rival, selective = evaluation.champion_profile, evaluation.selective
    held, seeds = champion.metrics if champion else None, evaluation.candidate_seeds
    uncalibrated = evaluation.calibration.uncalibrated.ece
    return [
        Tile(
            "Test accuracy",
            f"{candidate.accuracy:.4f}",
            interval(candidate)
            + (f"; champion {held.accuracy:.4f}" if held else "")
            + (f"; {seeds.stated('test')} over {len(seeds.seeds)} seeds" if seeds else ""),
        ),
        Tile(
            "Mistakes",
            f"{candidate.errors:,}",
            f"of {candidate.examples:,}" + (f"; champion {held.errors:,}" if held else ""),
        ),
        *([_gain(champion.comparison)] if champion else []),
        Tile(
            "Calibration error",
            f"{candidate.reliability.ece:.4f}",
            f"{uncalibrated:.4f} as trained" + (f"; champion {held.reliability.ece:.4f}" if held else ""),
        ),
        Tile(
            "Answers when sure",
            f"{selective.threshold_coverage:.1%}",
            f"{selective.accepted_errors} mistakes among them",
        ),
        Tile(
            "Damaged images",
            f"{mean_robustness(evaluation.profile.robustness):.3f}",
            "mean accuracy" + (f"; champion {mean_robustness(rival.robustness):.3f}" if rival else ""),
        ),
    ]


def _gain(paired: Comparison) -> Tile:
    return Tile("Gain, in points", points(paired.difference), f"{paired.verdict}, {paired.p}")
