"""Time of a search in one process on all cores, and in the processes of the tune step, one a shard."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.cores import cores
from components.common.settings import environment

if TYPE_CHECKING:
    from components.tune.study import SearchRecord

STUDY = "workers"
TRIALS = 9
ROUNDS = 1
WAYS = ("one_process", "side_by_side")


def measure(setting: Setting, _: Results) -> Result:
    baseline, development = str(setting.work / "baseline"), str(setting.development)
    few = {"epochs": 0.1, "min_steps": 0} if setting.quick else {}
    call("benchmarks.training:train_once", development, "fast", few, baseline)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    used: dict[str, list[float]] = {way: [] for way in WAYS}
    pieces = 0
    for number in range(1 if setting.quick else ROUNDS):
        for way in WAYS:
            journal = str(setting.work / f"{number}-{way}.journal")
            given = environment({"OPTUNA_STORAGE": journal, "CHECKPOINT_DIR": ""})
            call("benchmarks.search_workers:open_search", development, baseline, environment=given)
            ended = call(f"benchmarks.search_workers:{way}", development, baseline, environment=given)
            seconds[way].append(ended.seconds)
            used[way].append(ended.processor_seconds / ended.seconds / cores())
            pieces = ended.value
    rows = [
        [
            way.replace("_", " "),
            f"{statistics.median(seconds[way]):.1f}",
            f"{min(seconds[way]):.1f} to {max(seconds[way]):.1f}",
            f"{statistics.median(used[way]):.2f}",
        ]
        for way in WAYS
    ]
    ratio = statistics.median(alone / beside for alone, beside in zip(*seconds.values(), strict=True))
    return Result(
        "Processes of a search",
        f"A search of {TRIALS} trials around recipe fast, {pieces} trainings or legs of trainings, in one process on "
        "all cores, and side by side in one process for each shard of a batch. Both give the same weights. From the "
        "start of the first process to the end of the last. The rest of the cores' time is that of imports, of graphs "
        "that are built, and of the last training.",
        ["way", "seconds", "range", "part of the cores' time that is used"],
        rows,
        [
            Floor("search: processes side by side, times one", ratio, 1.2),
            Floor(
                "search: part of the cores' time that is used", statistics.median(used["side_by_side"]), 0.8
            ),
        ],
        {"seconds": seconds, "used": used},
    )


def open_search(development: str, baseline: str) -> None:
    _record(development, baseline)


def _record(development: str, baseline: str) -> "SearchRecord":
    from components.common.data.info import DatasetInfo
    from components.common.model.training_record import Training
    from components.common.plan.space import SEARCH_SPACE
    from components.tune.study import SearchRecord, open_study

    study = open_study(STUDY, Training.load(Path(baseline)), SEARCH_SPACE, TRIALS, 1, 0)
    return SearchRecord(study, DatasetInfo.load(Path(development)).counts["validation"])


def one_process(development: str, baseline: str) -> int:
    from benchmarks.search import work_alone

    return work_alone(_record(development, baseline), development, baseline)


def side_by_side(development: str, baseline: str) -> int:
    from components.common.plan.resolve import resolve
    from components.tune.step import search_step

    plan = resolve([("benchmark", {"search.trials": TRIALS, "search.seeds": 1})], run_id=STUDY).plan
    return search_step(plan, Path(development), Path(baseline))
