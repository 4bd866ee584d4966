"""Time of a search with one and with two workers of one core each, which share one study."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.settings import environment

STUDY = "workers"
TRIALS = 9
WORKERS = (1, 2)
ROUNDS = 1


def measure(setting: Setting, _: Results) -> Result:
    baseline, development = str(setting.work / "baseline"), str(setting.development)
    few = {"epochs": 0.1, "min_steps": 0} if setting.quick else {}
    call("benchmarks.training:train_once", development, "fast", few, baseline)
    seconds: dict[int, list[float]] = {count: [] for count in WORKERS}
    shares: dict[int, list[int]] = {}
    for number in range(1 if setting.quick else ROUNDS):
        for count, own in seconds.items():
            journal = str(setting.work / f"{number}-{count}.journal")
            given = environment({"OPTUNA_STORAGE": journal, "OMP_NUM_THREADS": "1", "CHECKPOINT_DIR": ""})
            call("benchmarks.search_workers:open_search", baseline, environment=given)
            with ThreadPoolExecutor(count) as pool:
                started = time.perf_counter()
                ended = [
                    pool.submit(
                        call, "benchmarks.search_workers:work", development, baseline, environment=given
                    )
                    for _worker in range(count)
                ]
                shares[count] = [one.result().value for one in ended]
                own.append(time.perf_counter() - started)
    first = seconds[WORKERS[0]]
    rows = [
        [
            str(count),
            f"{statistics.median(own):.1f}",
            f"{min(own):.1f} to {max(own):.1f}",
            " + ".join(map(str, shares[count])),
            f"{statistics.median(a / b for a, b in zip(first, own, strict=True)):.2f}",
        ]
        for count, own in seconds.items()
    ]
    ratio = statistics.median(a / b for a, b in zip(first, seconds[WORKERS[-1]], strict=True))
    return Result(
        "Workers of a search",
        f"A search of {TRIALS} trials around recipe fast, by workers of one core each that share a journal file, from "
        "the start of their processes to the end of the last. Pieces are trainings, or legs of trainings.",
        ["workers", "seconds", "range", "pieces by worker", "times one worker"],
        rows,
        [Floor(f"search: throughput of {WORKERS[-1]} workers, times one", ratio, 1.6)],
        {str(count): own for count, own in seconds.items()},
    )


def open_search(baseline: str) -> None:
    from components.common.model.training_record import Training
    from components.common.plan.space import SEARCH_SPACE
    from components.tune.study import create_study

    create_study(STUDY, Training.load(Path(baseline)), SEARCH_SPACE, TRIALS, 1, 0)


def work(development: str, baseline: str) -> int:
    from components.common.plan.resolve import resolve
    from components.tune.step import search_step

    return search_step(resolve([], run_id=STUDY).plan, Path(development), Path(baseline))
