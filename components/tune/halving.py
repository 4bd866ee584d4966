"""Successive halving: the work that is due, given the scores so far.

All trials are trained for a part of their schedule and previewed. The best go on from where they paused, to the end.
The best of those is the finalist, if it is promising beside the baseline's own training. It and the baseline are
trained again with other seeds, since the best score of many is partly luck, while it is promising. A trial is promising
while its gain over the baseline is at least half of what it needs in the end, as far as its images tell.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from components.tune.choice import gain_by_images

# The parts of its schedule after which a trial is scored.
RUNGS = (1 / 12, 1.0)
LAST = len(RUNGS) - 1
# The part of the trials that goes on. It is not smaller, because an early preview separates bad trials from good ones,
# but hardly the best of the good.
SURVIVORS = 1 / 4
# Of the needed gain. `make verdicts` shows the power that is left.
PROMISING = 1 / 2


@dataclass(frozen=True)
class Leg:
    """Train a trial from where it stands up to a rung, and score it."""

    trial: int
    rung: int


@dataclass(frozen=True)
class Repeat:
    """Train a trial's configuration from beginning to end with the baseline's seed plus `shift`."""

    trial: int
    shift: int


@dataclass
class Known:
    """The knowledge about a trial.

    Attributes:
        scores: Validation accuracy by rung, a place in `RUNGS`.
        failed: Whether its training failed.
    """

    scores: dict[int, float] = field(default_factory=dict)
    failed: bool = False


def due(
    known: Mapping[int, Known],
    repeats: Mapping[tuple[int, int], float],
    seeds: int,
    baseline: float,
    images: int,
) -> list[Leg] | list[Repeat]:
    """Return all work that can be done now; an empty list means that the search is over.

    Args:
        known: The trials by number, without the baseline, which is trial 0.
        repeats: Validation accuracy by trial and shift of the seed.
        seeds: Trainings of the finalist, and of the baseline beside it.
        baseline: Validation accuracy of the baseline's first training.
        images: Validation images.
    """
    entrants = list(known)
    for rung in range(len(RUNGS)):
        open_ = [trial for trial in entrants if rung not in known[trial].scores and not known[trial].failed]
        if open_:
            return [Leg(trial, rung) for trial in open_]
        entrants = _best(known, entrants, rung, math.ceil(len(entrants) * SURVIVORS))
    final = finalist(known, seeds, baseline, images) if seeds else None
    if final is None:
        return []
    for shift in range(1, seeds + 1):
        # The first training of the baseline does not count: a finalist is one that beats it, so it may be unlucky.
        if wanted := [Repeat(trial, shift) for trial in (0, final) if (trial, shift) not in repeats]:
            return list(wanted)
        if _gain(repeats, final, shift) <= _least_gain(seeds, baseline, images):
            break
    return []


def _gain(repeats: Mapping[tuple[int, int], float], trial: int, last: int) -> float:
    """Return by how much a trial's mean over the shifts up to `last` beats the baseline's."""
    return sum(repeats[trial, shift] - repeats[0, shift] for shift in range(1, last + 1)) / last


def repeated(repeats: Mapping[tuple[int, int], float], trials: Collection[int]) -> dict[int, list[float]]:
    """Return the accuracies of trials in the order of their seeds."""
    return {trial: [repeats[key] for key in sorted(repeats) if key[0] == trial] for trial in trials}


def finalist(known: Mapping[int, Known], seeds: int, baseline: float, images: int) -> int | None:
    """Return the best of the trials that were trained to the end, if it is promising.

    The best score of many is lucky. Where even that is hardly better than one training of the baseline, further
    trainings would hardly show a difference. A second finalist would cost as many trainings again, and the gain that
    counts would be larger for both. The arguments are those of `due`.
    """
    best = _best(known, [trial for trial in known if LAST in known[trial].scores], LAST, 1)
    least = baseline + _least_gain(seeds, baseline, images)
    return next((trial for trial in best if known[trial].scores[LAST] > least), None)


def _least_gain(seeds: int, baseline: float, images: int) -> float:
    """Return the gain above which a trial is promising."""
    return PROMISING * gain_by_images(baseline, images, seeds)


def _best(known: Mapping[int, Known], trials: list[int], rung: int, count: int) -> list[int]:
    trained = [trial for trial in trials if not known[trial].failed]
    return sorted(trained, key=lambda trial: (-known[trial].scores[rung], trial))[:count]
