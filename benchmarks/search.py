"""What a search costs: random search over full trainings against successive halving, on the same configurations.

Each repetition draws configurations of its own and trains every one of them to the end, pausing at the rungs, with the
processor time of each leg noted. Both searches are then read off these trainings: halving does just the legs that it
asks for, and random search takes its first so many configurations. So every figure comes from a training that was run,
and both searches see the same luck.
"""

import gc
import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.dataset import Split, open_split
from components.common.errors import PipelineError
from components.train.config import RECIPES
from components.train.trainer import Trainer
from components.tune.halving import Known, Leg, due, rungs
from components.tune.space import distributions, options
from components.tune.trials import preview

CONFIGURATIONS = 24
# The recipe takes its least number of steps on fewer images too.
IMAGES = 12_000


@dataclass(frozen=True)
class Legs:
    """One configuration's training; lists have an entry a rung, times are processor seconds since the rung before.

    Scoring holds the preview too, of which a training without a pause has none.
    """

    accuracies: list[float]
    training: list[float]
    scoring: list[float]

    @property
    def in_full(self) -> float:
        """Seconds of the training without a pause."""
        return sum(self.training) + self.scoring[-1]


def main(development: str, repetitions: int) -> dict[str, Any]:
    """Compare the searches.

    Args:
        development: Directory with the training and validation splits.
        repetitions: Independent draws of `CONFIGURATIONS` configurations.

    Returns:
        Mean best validation accuracy, its standard error and mean processor seconds of halving, and of random search
        by number of configurations; `equal_configurations`, the smallest random search as good as halving on the mean,
        and `times_cheaper`, how many times more processor time that one takes.
    """
    train, validation = open_split(Path(development), "train"), open_split(Path(development), "validation")
    splits = Split(train.images[:IMAGES], train.labels[:IMAGES]), validation
    parts = rungs(CONFIGURATIONS + 1)
    pools = [_train_all(splits, parts, seed) for seed in range(repetitions)]
    halving = _summary([_halving(pool, parts) for pool in pools])
    random = {
        count: _summary(
            [(max(legs.accuracies[-1] for legs in pool[:count]), _cost(pool[:count])) for pool in pools]
        )
        for count in range(1, CONFIGURATIONS + 1)
    }
    # Halving's best is one of these trainings, so random search over all of them is as good at least.
    equal = min(count for count, found in random.items() if found["accuracy"] >= halving["accuracy"])
    return {
        "configurations": CONFIGURATIONS,
        "images": len(splits[0].labels),
        "halving": halving,
        "random": random,
        "equal_configurations": equal,
        "times_cheaper": random[equal]["cpu_seconds"] / halving["cpu_seconds"],
    }


def _train_all(splits: tuple[Split, Split], parts: list[float], seed: int) -> list[Legs]:
    import optuna

    baseline = RECIPES["fast"].differing(seed=seed)
    space = distributions({}, baseline)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    trained = []
    for _ in range(CONFIGURATIONS):
        config = baseline.differing(**options(study.ask(space).params))
        trained.append(_train(splits, config, parts))
        gc.collect()
    return trained


def _train(splits: tuple[Split, Split], config: Any, parts: list[float]) -> Legs:
    legs = Legs([], [], [])
    begun = _cpu_seconds()
    trainer = Trainer(*splits, config)
    for part in parts:
        accuracy = 0.0
        try:
            while trainer.step < math.ceil(part * trainer.steps):
                trainer.advance(math.ceil(part * trainer.steps))
            trained = _cpu_seconds()
            accuracy = (trainer.score() if part == parts[-1] else preview(trainer)).val_accuracy
        except PipelineError:  # diverged: no better than nothing, for both searches
            trained = _cpu_seconds()
        legs.accuracies.append(accuracy)
        legs.training.append(trained - begun)
        begun = _cpu_seconds()
        legs.scoring.append(begun - trained)
    return legs


def _halving(pool: Sequence[Legs], parts: list[float]) -> tuple[float, float]:
    """Let halving ask for legs; return the best accuracy at the end, and the processor seconds of these legs."""
    known = {number: Known() for number in range(len(pool))}
    seconds = 0.0
    while work := [job for job in due(known, parts, {}, 0) if isinstance(job, Leg)]:
        for leg in work:
            legs = pool[leg.trial]
            known[leg.trial].scores[leg.rung] = legs.accuracies[leg.rung]
            seconds += legs.training[leg.rung] + legs.scoring[leg.rung]
    last = len(parts) - 1
    return max(trial.scores[last] for trial in known.values() if last in trial.scores), seconds


def _cost(pool: Sequence[Legs]) -> float:
    return sum(legs.in_full for legs in pool)


def _summary(outcomes: list[tuple[float, float]]) -> dict[str, float]:
    accuracies, seconds = zip(*outcomes, strict=True)
    error = statistics.stdev(accuracies) / math.sqrt(len(accuracies)) if len(accuracies) > 1 else 0.0
    return {
        "accuracy": statistics.fmean(accuracies),
        "standard_error": error,
        "cpu_seconds": statistics.fmean(seconds),
    }


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system
