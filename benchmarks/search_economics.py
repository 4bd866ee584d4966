"""The search against random search over full trainings; `search.py` runs the trainings of both."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.settings import environment

REPETITIONS = 10
CONFIGURATIONS = 24
# The recipe takes its least number of steps on fewer images too.
IMAGES = 12_000


@dataclass(frozen=True)
class Repetition:
    """What one seed gave.

    Attributes:
        recipe: Validation accuracy of the recipe itself.
        search: Best accuracy of the search's configurations, and processor seconds.
        random: The same of each random configuration.
    """

    recipe: float
    search: tuple[float, float]
    random: list[tuple[float, float]]


Repetitions = Sequence[Repetition]


def measure(setting: Setting, _: Results) -> Result:
    seeds, configurations = (1, 6) if setting.quick else (REPETITIONS, CONFIGURATIONS)
    few = str(setting.work / "few")
    call("benchmarks.search:take", str(setting.development), IMAGES, few)
    repetitions = []
    for seed in range(seeds):
        baseline = str(setting.work / f"baseline-{seed}")
        journal = str(setting.work / f"{seed}.journal")
        given = environment({"OPTUNA_STORAGE": journal, "CHECKPOINT_DIR": ""})
        trained = call("benchmarks.training:train_once", few, "fast", {"seed": seed}, baseline).value
        found = call(
            "benchmarks.search:run_search", few, baseline, configurations, seed, environment=given
        ).value
        random = call("benchmarks.search:train_random", few, configurations, seed).value
        repetitions.append(Repetition(trained["validation_accuracy"], found, random))
    rows, times_cheaper = compare(repetitions, configurations)
    return Result(
        "Economics of the search",
        f"Mean best validation accuracy on {IMAGES} training images, around recipe fast. The search is the tune "
        f"step's, without the finalist's repeats: {seeds} times {configurations} configurations. Random search draws "
        "evenly from the same space and trains all that it draws to the end; its best of n is the mean over all "
        f"choices of n from {seeds * configurations} such trainings. Standard errors are by jackknife over the "
        "repetitions. Processor seconds hold building, tracing and scoring, not the imports. The floor is on the "
        "smallest random search that is as good, or on the largest that was looked at. The search starts from the "
        "recipe, of which random search knows nothing: in the last two rows both may take the recipe's own training "
        "instead, which costs them nothing.",
        ["search", "configurations", "accuracy", "standard error", "processor seconds", "times the search"],
        rows,
        [Floor("search: times less processor time than random search", times_cheaper, 3)],
        {"repetitions": [asdict(repetition) for repetition in repetitions]},
    )


def compare(repetitions: Repetitions, configurations: int) -> tuple[list[list[str]], float]:
    """Return the rows of the table, and how many times more the smallest random search that is as good takes."""
    seconds = statistics.fmean(repetition.search[1] for repetition in repetitions)
    each = statistics.fmean(cost for repetition in repetitions for _, cost in repetition.random)

    def row(name: str, count: int, cost: float, accuracy: Callable[[Repetitions], float]) -> list[str]:
        error = jackknife(accuracy, repetitions)
        figures = [f"{accuracy(repetitions):.5f}", f"{error:.5f}", f"{cost:.1f}", f"{cost / seconds:.2f}"]
        return [name, str(count), *figures]

    def random_row(name: str, count: int, *, or_recipe: bool) -> list[str]:
        return row(name, count, count * each, lambda some: random_best(some, count, or_recipe=or_recipe))

    # The jackknife leaves out one repetition, and needs as many random configurations from the others.
    most = max(sum(len(one.random) for one in repetitions[1:]), len(repetitions[0].random))

    def as_good(*, or_recipe: bool) -> int:
        accuracy = search_best(repetitions, or_recipe=or_recipe)
        good = (n for n in range(1, most) if random_best(repetitions, n, or_recipe=or_recipe) >= accuracy)
        return next(good, most)

    equal = as_good(or_recipe=False)
    rows = [
        row("tune", configurations, seconds, lambda some: search_best(some, or_recipe=False)),
        *(
            random_row("random", count, or_recipe=False)
            for count in sorted({math.ceil(configurations / 4), configurations, equal})
        ),
        row("tune, or the recipe", configurations, seconds, lambda some: search_best(some, or_recipe=True)),
        random_row("random, or the recipe", as_good(or_recipe=True), or_recipe=True),
    ]
    return rows, equal * each / seconds


def search_best(repetitions: Repetitions, *, or_recipe: bool) -> float:
    """Return the mean accuracy that the searches found, where `or_recipe` the recipe's own where that is higher."""
    return statistics.fmean(
        max(repetition.search[0], repetition.recipe if or_recipe else 0.0) for repetition in repetitions
    )


def random_best(repetitions: Repetitions, count: int, *, or_recipe: bool) -> float:
    """Return the expected best of `count` random configurations, or the recipe's own as in `search_best`."""
    pool = [accuracy for repetition in repetitions for accuracy, _ in repetition.random]
    least = [repetition.recipe for repetition in repetitions] if or_recipe else [0.0]
    return statistics.fmean(expected_best([max(one, own) for one in pool], count) for own in least)


def expected_best(accuracies: Sequence[float], count: int) -> float:
    """Return the mean, over all choices of `count` of the accuracies, of the highest chosen."""
    choices = math.comb(len(accuracies), count)
    ranked = enumerate(sorted(accuracies))
    return sum(math.comb(lower, count - 1) / choices * accuracy for lower, accuracy in ranked)


def jackknife(estimate: Callable[[Repetitions], float], repetitions: Repetitions) -> float:
    """Return the estimate's standard error, from leaving out each repetition in turn; 0 for a single one."""
    count = len(repetitions)
    if count == 1:
        return 0.0
    without = [estimate([*repetitions[:left_out], *repetitions[left_out + 1 :]]) for left_out in range(count)]
    mean = statistics.fmean(without)
    return math.sqrt((count - 1) / count * sum((one - mean) ** 2 for one in without))
