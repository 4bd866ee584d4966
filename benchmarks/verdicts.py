"""`python -m benchmarks.verdicts`: error rates of verdicts and choices, from the project's own functions.

The rates of verdicts are calculated from the distribution of the counts; the others are simulated with fixed seeds.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.coverage import FIGURES, KINDS, TEST_SIZES, covered
from benchmarks.page import table_lines
from benchmarks.setting import Floor
from components.common.plan.training import TrainConfig
from components.evaluate.compare import MARGIN, Comparison, compare_counts
from components.evaluate.gate import largest_p
from components.tune.choice import choose_configuration
from components.tune.halving import LAST, Known, Repeat, due, finalist, repeated

SIZES = (100, 1_000, 10_000)
MOST_DISCORDANT = 40
# Images that one of two equal models gets right and the other wrong, on average.
DISCORDANT = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 30, 40)
GAINS = (0.0002, 0.0005, 0.001, 0.002)
# Of two trainings of recipe fast on MNIST's 10,000 test images.
DIFFERING = 40
DECISIONS = (10, 100, 1_000)
# Standard deviation of the validation accuracy of recipe fast over seeds, with MNIST's 12,000 validation images.
SPREAD, VALIDATION, ACCURACY = 0.00045, 12_000, 0.9945
OTHERS = 5
SEEDS = (1, 2, 3, 5, 10)
MARGINS = (0.001, MARGIN, 0.01)
MOST_FALSE = 0.05
# Of simulated coverages, whose own standard error is 1.5 points.
LEAST_COVERED = 0.93
PART_OF_BEFORE = 1 / 3


@cache
def compared(gained: int, lost: int, examples: int, margin: float = MARGIN) -> Comparison:
    """Compare two models, and remember the answer."""
    return compare_counts(gained, lost, examples, margin)


def contradictions() -> int:
    """Return in how many tables verdict, interval and p value contradict each other."""
    found = 0
    for examples, gained, lost in product(SIZES, range(MOST_DISCORDANT + 1), range(MOST_DISCORDANT + 1)):
        if gained + lost > examples:
            continue
        one = compared(gained, lost, examples)
        low, high = one.difference_interval
        shown = low > 0 or high < 0
        fits = {
            "better": low > 0 and one.p_value < MOST_FALSE,
            "worse": high < 0 and one.p_value < MOST_FALSE,
            "equivalent": not shown and one.p_value >= MOST_FALSE,
            "undecided": not shown and one.p_value >= MOST_FALSE,
        }
        found += not (fits[one.verdict] and low <= one.difference <= high)
    return found


def rate(
    given: Callable[[Comparison], bool], gain: float, discordant: float, examples: int, margin: float = MARGIN
) -> float:
    """Return how often a comparison is of a kind.

    Args:
        given: Whether it is of the kind.
        gain: The candidate's true accuracy minus the reference's.
        discordant: Mean number of images that one model alone gets right.
        examples: Images of the test split.
        margin: The margin of equivalence.
    """
    better, worse = (discordant / examples + gain) / 2, (discordant / examples - gain) / 2
    total = 0.0
    for gained, first in _counts(better, examples):
        for lost, second in _counts(worse / (1 - better), examples - gained):
            if given(compared(gained, lost, examples, margin)):
                total += first * second
    return total


def _counts(share: float, examples: int) -> Iterator[tuple[int, float]]:
    """Yield the counts that occur, with their probabilities."""
    low, high = (int(binom.ppf(part, examples, share)) for part in (1e-5, 1 - 1e-5))
    for count in range(low, high + 1):
        yield count, float(binom.pmf(count, examples, share))


def optimism(promoted: Callable[[Comparison, int], bool], repetitions: int) -> NDArray[np.float64]:
    """Return by how much the champion's accuracy on the test split is above its true one, after each decision.

    All models are equally good. Each gets its own half of twice `DIFFERING` images right.

    Args:
        promoted: Whether a candidate takes the champion's place in the decision of a number.
        repetitions: Test splits.

    Returns:
        Mean over the test splits, by the number of decisions; the first is without any.
    """
    generator, hard = np.random.default_rng(0), 2 * DIFFERING
    right = generator.binomial(hard, 0.5, repetitions)
    found = [right.mean()]
    for decision in range(1, max(DECISIONS) + 1):
        gained = generator.binomial(hard - right, 0.5)
        lost = generator.binomial(right, 0.5)
        pairs = zip(gained.tolist(), lost.tolist(), strict=True)
        taken = np.array([promoted(compared(*pair, SIZES[-1]), decision) for pair in pairs])
        right = np.where(taken, right + gained - lost, right)
        found.append(right.mean())
    return (np.array(found) - hard / 2) / SIZES[-1]


def replacements(gain: float, seeds: int, searches: int) -> float:
    """Return in what part of searches the baseline is replaced, where one of the other trials has a true gain."""
    generator, replaced = np.random.default_rng(seeds), 0
    config = TrainConfig(filters=((8,),), learning_rate=0.001, batch_size=64)
    truth = np.full(OTHERS + 1, ACCURACY)
    truth[1] += gain
    for _ in range(searches):
        first = generator.normal(truth, SPREAD).tolist()
        known = {trial: Known(dict.fromkeys(range(LAST + 1), first[trial])) for trial in range(1, OTHERS + 1)}
        repeats: dict[tuple[int, int], float] = {}
        while work := due(known, repeats, seeds, first[0], VALIDATION):
            for job in work:
                if isinstance(job, Repeat):
                    repeats[job.trial, job.shift] = generator.normal(truth[job.trial], SPREAD)
        final = finalist(known, seeds, first[0], VALIDATION)
        if final is not None:
            accuracies = repeated(repeats, [0, final])
            replaced += choose_configuration(config, accuracies, {}, OTHERS + 1, VALIDATION).trial != 0
    return replaced / searches


@dataclass(frozen=True)
class Part:
    """A part of the page, with the floors that it decides."""

    paragraphs: list[str]
    floors: list[Floor]


def false_equivalence() -> dict[tuple[int, float], float]:
    """Return how often models that differ by the margin are called equivalent, at worst, by images and margin."""
    return {
        (examples, margin): max(
            rate(
                lambda one: one.verdict == "equivalent",
                margin,
                discordant + margin * examples,
                examples,
                margin,
            )
            for discordant in DISCORDANT
            if discordant + margin * examples <= examples / 4
        )
        for examples, margin in product(SIZES, MARGINS)
    }


def comparison_part() -> Part:
    """Return the error rates and the power of one comparison."""
    better_or_worse = {
        examples: max(
            rate(lambda one: one.verdict in {"better", "worse"}, 0, discordant, examples)
            for discordant in DISCORDANT
            if discordant <= examples / 4
        )
        for examples in SIZES
    }
    equivalent = false_equivalence()
    power = {
        gain: rate(lambda one: one.verdict == "better", gain, max(DIFFERING, gain * SIZES[-1]), SIZES[-1])
        for gain in GAINS
    }
    paragraphs = [
        "## One comparison",
        "How often models that are equally good are called better or worse, at the worst number of images that one of "
        f"them alone gets right ({DISCORDANT[0]} to {DISCORDANT[-1]}). The test is asymptotic: 5% is exceeded by some "
        "tenths of a percent.",
        _table(
            ["test images", "better or worse"],
            [[f"{n:,}", f"{found:.2%}"] for n, found in better_or_worse.items()],
        ),
        "How often models that differ by exactly the margin are called equivalent, at the worst such number. A larger "
        "difference is mostly called better or worse.",
        _table(
            ["test images", "margin", "equivalent"],
            [[f"{n:,}", f"{margin:g}", f"{found:.2%}"] for (n, margin), found in equivalent.items()],
        ),
        f"How often a true gain is called better on {SIZES[-1]:,} test images, of which {DIFFERING} are right in one "
        "model alone, as of two trainings of recipe `fast` on MNIST.",
        _table(["gain", "better"], [[f"{gain:g}", f"{found:.0%}"] for gain, found in power.items()]),
    ]
    name = "false equivalence at the margin, worst case"
    contradicting = "tables in which verdict, interval and p value contradict each other"
    floors = [
        Floor(contradicting, contradictions(), 0, at_least=False),
        Floor(name, max(equivalent.values()), MOST_FALSE, at_least=False),
    ]
    return Part(paragraphs, floors)


def wear_part(repetitions: int) -> Part:
    """Return how optimistic champions get on a test split that decides again and again."""
    before = optimism(lambda one, _: one.only_candidate_right >= one.only_reference_right, repetitions)
    now = optimism(
        lambda one, number: one.verdict == "better" and one.p_value < largest_p(number), repetitions
    )
    paragraphs = [
        "## A test split that decides again and again",
        f"All candidates are as good as the champion; {repetitions} test splits of {SIZES[-1]:,} images, {DIFFERING} "
        "of which are right in one of two models alone. Optimism is the champion's accuracy on the test split above "
        "its true one, in percentage points.",
        _table(
            ["decisions", "gate.promote=as-accurate", "gate.promote=better, the default"],
            [[f"{n:,}", f"{100 * before[n]:.3f}", f"{100 * now[n]:.3f}"] for n in (0, *DECISIONS)],
        ),
    ]
    last = DECISIONS[-1]
    name = f"champion's optimism after {last:,} decisions, part of that of gate.promote=as-accurate"
    return Part(paragraphs, [Floor(name, now[last] / before[last], PART_OF_BEFORE, at_least=False)])


def choice_part(searches: int) -> Part:
    """Return how often the search replaces its baseline."""
    gains = (0.0, *GAINS[:3])
    chosen = {(gain, seeds): replacements(gain, seeds, searches) for gain, seeds in product(gains, SEEDS)}
    paragraphs = [
        "## The search's choice",
        f"How often the baseline is replaced: {searches:,} searches of {OTHERS} other trials, "
        f"{VALIDATION:,} validation images, standard deviation over seeds {SPREAD:g}. One trial has the "
        "gain, the others are as good as the baseline; with no gain every replacement is false.",
        _table(
            ["seeds", "no gain", *(f"gain {gain:g}" for gain in gains[1:])],
            [[str(seeds), *(f"{chosen[gain, seeds]:.1%}" for gain in gains)] for seeds in SEEDS],
        ),
    ]
    name = "searches among equal configurations that replace the baseline"
    worst = max(chosen[0.0, seeds] for seeds in SEEDS)
    return Part(paragraphs, [Floor(name, worst, MOST_FALSE, at_least=False)])


def coverage_part(repetitions: int) -> Part:
    """Return how often the intervals of a report hold the truth."""
    found = {
        (kind.name, images): covered(kind, images, repetitions) for kind, images in product(KINDS, TEST_SIZES)
    }
    paragraphs = [
        "## Intervals of a report",
        f"How often a 95% interval holds the truth, in {repetitions:,} test splits of each kind; of two classes, one "
        "has 5% of the images. Each truth is that of a made-up model on "
        "100,000 images; that of the calibration error (ECE) is known for each image. Intervals of shares are exact, "
        "and those of means over classes and of AUC are wider than need be: of twenty images they say little, and "
        "what no image tells, such as the recall of a class without one, has no interval and is not counted.",
        _table(
            ["images", "test images", *FIGURES],
            [
                [name, f"{images:,}", *(f"{one[figure]:.1%}" for figure in FIGURES)]
                for (name, images), one in found.items()
            ],
        ),
    ]
    worst = min(min(one.values()) for one in found.values())
    return Part(paragraphs, [Floor("coverage of 95% intervals, the least of all", worst, LEAST_COVERED)])


def page(parts: list[Part]) -> str:
    """Return the page."""
    rows = [
        [
            floor.name,
            f"{floor.measured:.4g}",
            f"at {'least' if floor.at_least else 'most'} {floor.limit:.4g}",
            "met" if floor.met else "**missed**",
        ]
        for part in parts
        for floor in part.floors
    ]
    head = [
        "# Verdicts and their error rates",
        "Written by `make verdicts` from the project's own functions; do not edit. The same code gives the same page "
        "on any machine.",
        "## Floors",
        _table(["what", "found", "floor", ""], rows),
    ]
    return "\n\n".join([*head, *(paragraph for part in parts for paragraph in part.paragraphs)]) + "\n"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    return "\n".join(table_lines(columns, rows))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/verdicts.md"))
    parser.add_argument("--searches", type=int, default=2_000)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--splits", type=int, default=200, help="test splits of each kind, for the intervals")
    options = parser.parse_args(arguments)
    parts = [
        comparison_part(),
        wear_part(options.repetitions),
        choice_part(options.searches),
        coverage_part(options.splits),
    ]
    options.output.write_text(page(parts))
    print(f"wrote {options.output}")
    missed = [floor.name for part in parts for floor in part.floors if not floor.met]
    if missed:
        print(f"missed floors: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
