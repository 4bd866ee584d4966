import itertools
import statistics

import pytest

from benchmarks.search_economics import Repetition, compare, expected_best, jackknife, random_best


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_the_expected_best_is_the_mean_over_all_choices(count: int) -> None:
    accuracies = [0.5, 0.9, 0.7, 0.8, 0.7]

    choices = itertools.combinations(accuracies, count)

    assert expected_best(accuracies, count) == pytest.approx(statistics.fmean(map(max, choices)))


def test_the_jackknife_gives_the_standard_error_of_a_mean() -> None:
    repetitions = [Repetition(accuracy, (0, 0), []) for accuracy in (0.1, 0.4, 0.7, 0.9)]

    error = jackknife(lambda some: statistics.fmean(one.recipe for one in some), repetitions)

    assert error == pytest.approx(statistics.stdev([0.1, 0.4, 0.7, 0.9]) / 2)


def test_the_smallest_random_search_that_is_as_good_is_found() -> None:
    random = [(0.1, 10.0), (0.2, 10.0), (0.3, 10.0)]
    repetitions = [Repetition(0.3, (0.25, 5.0), random), Repetition(0.0, (0.25, 5.0), random)]

    rows, times_cheaper = compare(repetitions, 3)

    assert random_best(repetitions, 1, or_recipe=False) < 0.25 <= random_best(repetitions, 2, or_recipe=False)
    assert times_cheaper == 2 * 10 / 5
    assert [row[:2] for row in rows] == [
        ["tune", "3"],
        ["random", "1"],
        ["random", "2"],
        ["random", "3"],
        ["tune, or the recipe", "3"],
        ["random, or the recipe", "2"],
    ]
    assert [row[-1] for row in rows] == ["1.00", "2.00", "4.00", "6.00", "1.00", "4.00"]


def test_a_search_that_all_random_ones_together_do_not_reach_is_compared_with_all() -> None:
    one = Repetition(0.0, (0.9, 5.0), [(0.1, 10.0)] * 4)

    _, times_cheaper = compare([one], 4)

    assert times_cheaper == 4 * 10 / 5
    # With one repetition left out, for the standard errors, eight remain of three times four.
    rows, times_cheaper = compare([one] * 3, 4)
    assert times_cheaper == 8 * 10 / 5
    assert rows[-1][:2] == ["random, or the recipe", "8"]
