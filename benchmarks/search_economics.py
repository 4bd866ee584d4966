"""The search with a pruner against random search over full trainings; `search.py` measures."""

import importlib.util

from benchmarks.process import call
from benchmarks.setting import Result, Results, Setting

REPETITIONS = 10


def measure(setting: Setting, _: Results) -> Result:
    if importlib.util.find_spec("benchmarks.search") is None:
        raise RuntimeError("benchmarks/search.py, which measures the search, is not in this checkout")
    repetitions = 1 if setting.quick else REPETITIONS
    ended = call("benchmarks.search_economics:run", str(setting.development), repetitions)
    return Result(
        "Economics of the search",
        f"{repetitions} repetitions of the search and of random search over full trainings.",
        ["figure", "value"],
        [[name, str(value)] for name, value in ended.value.items()],
        figures=ended.value,
    )


def run(development: str, repetitions: int) -> object:
    from pathlib import Path

    search = importlib.import_module("benchmarks.search")
    found: object = search.main(Path(development), repetitions)
    return found
