"""The trainings of the two searches that are compared; each function is called in a process of its own.

A process imports TensorFlow once, however many trainings it runs: that is over before the clock starts.
"""

import gc
import os
from collections.abc import Callable
from pathlib import Path

from components.common.cores import cores
from components.common.data.dataset import Split, open_split, write_splits
from components.common.data.info import DatasetInfo
from components.common.errors import PipelineError
from components.common.model.training_record import Training
from components.common.plan.space import SEARCH_SPACE
from components.common.plan.training import RECIPES, TrainConfig
from components.common.tracking.run import StepRun
from components.train.runtime import start_tensorflow
from components.train.session import Session
from components.tune.halving import LAST
from components.tune.space import distributions, options
from components.tune.study import SearchRecord, claims, open_study
from components.tune.trials import Worker

STUDY = "economics"


def take(development: str, images: int, target: str) -> None:
    """Write the development data again with the first so many training images."""
    train, validation = open_split(Path(development), "train"), open_split(Path(development), "validation")
    few = Split(train.images[:images], train.labels[:images], train.spec)
    splits = {"train": few, "validation": validation}
    info = DatasetInfo.load(Path(development))
    write_splits(Path(target), splits, raw=info.raw, split=info.split, test_digest=info.test_digest)


def train_random(development: str, configurations: int, seed: int) -> list[tuple[float, float]]:
    """Train configurations drawn evenly from the search space; return accuracy and processor seconds of each.

    A training that diverges has an accuracy of 0.
    """
    import optuna

    splits = open_split(Path(development), "train"), open_split(Path(development), "validation")
    recipe = RECIPES["fast"].differing(seed=seed)
    space = distributions(SEARCH_SPACE, recipe)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    start_tensorflow(shards=cores())

    def train() -> float:
        config = recipe.differing(**options(study.ask(space).params))
        try:
            session = Session(*splits, config)
            session.run_until(session.steps)
            return session.score().val_accuracy
        except PipelineError:
            return 0.0

    return [_with_cost(train) for _ in range(configurations)]


def run_search(development: str, baseline: str, configurations: int, seed: int) -> tuple[float, float]:
    """Search as `tune` does it, without the finalist's repeats, in the storage that `OPTUNA_STORAGE` names.

    Returns:
        The best accuracy of the configurations, the baseline not among them, and the processor seconds.
    """
    study = open_study(STUDY, Training.load(Path(baseline)), SEARCH_SPACE, configurations + 1, 0, seed)
    start_tensorflow(shards=cores())

    def work() -> float:
        record = SearchRecord(study, DatasetInfo.load(Path(development)).counts["validation"])
        work_alone(record, development, baseline)
        return max(known.scores.get(LAST, 0.0) for known in record.known().values())

    return _with_cost(work)


def work_alone(record: SearchRecord, development: str, baseline: str) -> int:
    """Do the whole search in this process, without states on the disk; return the pieces of work."""
    config = TrainConfig.model_validate(Training.load(Path(baseline)).config)
    worker = Worker(record, claims(), Path(development), config, StepRun.untracked(), None)
    done = 0
    while waiting := worker.waiting():
        done += worker.work(waiting[0])
    return done


def _with_cost(work: Callable[[], float]) -> tuple[float, float]:
    before = os.times()
    accuracy = work()
    gc.collect()
    after = os.times()
    return accuracy, after.user - before.user + after.system - before.system
