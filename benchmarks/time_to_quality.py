"""Time to quality: whole processes of the recipes, from spawn to exit, and what their models then score."""

import statistics
from typing import Any

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting

SEEDS = {"seed": 1, "fast": 10, "best": 5}
QUICK_SEEDS = {"seed": 1, "fast": 2, "best": 2}
QUICK_CHANGES = {"seed": {"epochs": 4}, "fast": {"min_steps": 60}, "best": {"min_steps": 40, "epochs": 1}}


def measure(setting: Setting, _: Results) -> Result:
    seeds = QUICK_SEEDS if setting.quick else SEEDS
    return report({recipe: _trained(setting, recipe, count) for recipe, count in seeds.items()})


def report(measured: dict[str, Any]) -> Result:
    """Turn the seconds and accuracies of each recipe's trainings into tables and floors."""
    reference = statistics.median(measured["seed"]["seconds"])
    rows = [_row(recipe, figures, reference) for recipe, figures in measured.items()]
    fast, best = measured["fast"], measured["best"]
    of_all = sum(best["seconds"])
    ensemble = [f"{of_all:.1f}", "", f"{reference / of_all:.2f}", f"{best['ensemble']:.4f}", "", "", ""]
    rows.append([f"ensemble of the {len(best['seconds'])} best", "1", *ensemble])
    ratio = reference / statistics.median(fast["seconds"])
    return Result(
        "Time to quality",
        "Seconds of the whole process, from spawn to exit with all imports, median and range over the seeds. The test "
        "split is read once per model, after its training.",
        ["recipe", "runs", "seconds", "range", "times faster", "test accuracy, mean", "least", "most", "sd"],
        rows,
        [
            Floor("fast: mean test accuracy", statistics.mean(fast["accuracies"]), 0.9940),
            Floor("fast: least test accuracy of a seed", min(fast["accuracies"]), 0.9926),
            Floor("fast: times faster than seed", ratio, 40),
            Floor("best: mean test accuracy", statistics.mean(best["accuracies"]), 0.9975),
            Floor("best: longest process, seconds", max(best["seconds"]), 600, at_least=False),
        ],
        measured,
    )


def _trained(setting: Setting, recipe: str, count: int) -> dict[str, Any]:
    """Train `count` seeds one after the other, then score them."""
    seconds, targets = [], []
    changes = QUICK_CHANGES[recipe] if setting.quick else {}
    for seed in range(count):
        targets.append(str(setting.work / f"{recipe}-{seed}"))
        arguments = (str(setting.development), recipe, {**changes, "seed": seed}, targets[-1])
        seconds.append(call("benchmarks.training:train_once", *arguments).seconds)
    scores = call("benchmarks.training:test_accuracies", str(setting.test), targets).value
    return {"seconds": seconds, "accuracies": scores["each"], "ensemble": scores["ensemble"]}


def _row(recipe: str, figures: dict[str, Any], reference: float) -> list[str]:
    seconds, accuracies = figures["seconds"], figures["accuracies"]
    median = statistics.median(seconds)
    times = [f"{median:.1f}", f"{min(seconds):.1f} to {max(seconds):.1f}", f"{reference / median:.1f}"]
    spread = f"{statistics.stdev(accuracies):.5f}" if len(accuracies) > 1 else ""
    bounds = [f"{statistics.mean(accuracies):.5f}", f"{min(accuracies):.4f}", f"{max(accuracies):.4f}"]
    return [recipe, str(len(accuracies)), *times, *bounds, spread]
