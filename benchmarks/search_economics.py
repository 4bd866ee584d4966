"""The search against random search over full trainings; `search.py` measures."""

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting

REPETITIONS = 10


def measure(setting: Setting, _: Results) -> Result:
    repetitions = 1 if setting.quick else REPETITIONS
    found = call("benchmarks.search:main", str(setting.development), repetitions).value
    count = found["configurations"]
    rows = [["halving", str(count), *_figures(found["halving"]), "1.00"]]
    for size in sorted({count, found["equal_configurations"], count // 2, count // 4}, reverse=True):
        own = found["random"][str(size)]
        ratio = own["cpu_seconds"] / found["halving"]["cpu_seconds"]
        rows.append(["random", str(size), *_figures(own), f"{ratio:.2f}"])
    return Result(
        "Economics of the search",
        f"Mean best validation accuracy of {repetitions} repetitions, each with {count} configurations of its own from "
        f"the default search space around recipe fast, on {found['images']} images. Every configuration is trained to "
        "the end and both searches are read off these trainings: the search as `tune` does it, without the finalists' "
        "repeats, and random search over full trainings, which takes the first so many. Processor seconds are those of "
        "the process, with building, tracing and scoring. The floor is on the smallest random search that is as good.",
        ["search", "configurations", "accuracy", "standard error", "processor seconds", "times halving"],
        rows,
        [Floor("search: times less processor time than random search", found["times_cheaper"], 3)],
        found,
    )


def _figures(own: dict[str, float]) -> list[str]:
    return [f"{own['accuracy']:.5f}", f"{own['standard_error']:.5f}", f"{own['cpu_seconds']:.1f}"]
