"""`python -m benchmarks.equal_searches`: real searches of the digits in which no configuration is better.

All configurations are the baseline's, with a learning rate that differs by up to 1%: their trainings are different
ones, as those of other seeds are. Each time the search replaces the baseline it is wrong.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.prepare import prepare
from benchmarks.process import call
from components.common.settings import environment

# Searches of one process: what a process leaves in memory grows with them.
CHUNK = 5
TRIALS, SEEDS = 7, 2
SPACE = {"learning_rate": {"times": {"low": 0.99, "high": 1.01}}}


def search_equals(development: str, work: str, numbers: list[int]) -> list[tuple[bool, int]]:
    """Search in the storage that `OPTUNA_STORAGE` names; each number seeds one search.

    Returns:
        Whether there was a finalist, and the chosen trial, of each search; 0 is the baseline.
    """
    from benchmarks.search import work_alone
    from components.common.cores import cores
    from components.common.data.info import DatasetInfo
    from components.common.plan.training import TrainConfig
    from components.train.fit import fit_model
    from components.train.runtime import start_tensorflow
    from components.tune.step import finished_choice
    from components.tune.study import SearchRecord, open_study

    start_tensorflow(shards=cores())
    images = DatasetInfo.load(Path(development)).counts["validation"]
    found = []
    for number in numbers:
        config = TrainConfig(
            filters=((8,),), dense_units=16, learning_rate=0.003, epochs=8, compiled_loop=True, seed=number
        )
        baseline = Path(work, f"baseline-{number}")
        training = fit_model(
            Path(development), config, recipe="fast", target=baseline, on_epoch=lambda _: None
        )
        study = open_study(f"equals-{number}", training, SPACE, TRIALS, SEEDS, number)
        record = SearchRecord(study, images)
        work_alone(record, development, str(baseline))
        choice = finished_choice(record, training, config)
        found.append((len(choice.contenders) > 1, choice.trial))
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.equal_searches", description=__doc__)
    parser.add_argument("--searches", type=int, default=60)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        development, _ = prepare(Path(scratch), "digits")
        given = environment({"OPTUNA_STORAGE": f"{scratch}/journal", "CHECKPOINT_DIR": ""})
        found: list[tuple[bool, int]] = []
        for start in range(0, options.searches, CHUNK):
            numbers = list(range(start, min(start + CHUNK, options.searches)))
            found += call(
                "benchmarks.equal_searches:search_equals",
                str(development),
                scratch,
                numbers,
                environment=given,
            ).value
            replaced = sum(trial != 0 for _, trial in found)
            with_finalist = sum(finalist for finalist, _ in found)
            print(
                f"{len(found)} searches, {with_finalist} with a finalist, {replaced} replaced the baseline",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
