import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from components.evaluate.compare import Comparison, compare_counts, compare_models


@pytest.mark.parametrize(
    ("only_candidate", "only_reference", "examples", "verdict"),
    [
        (0, 0, 10_000, "equivalent"),
        (4, 4, 10_000, "equivalent"),
        (0, 0, 360, "undecided"),
        (5, 1, 360, "undecided"),
        (9, 2, 10_000, "better"),
        (2, 9, 10_000, "worse"),
        (120, 120, 10_000, "undecided"),
    ],
)
def test_verdict(only_candidate: int, only_reference: int, examples: int, verdict: str) -> None:
    assert compare_counts(only_candidate, only_reference, examples).verdict == verdict


@pytest.mark.parametrize(("only_candidate", "only_reference"), [(12, 3), (3, 12), (9, 2), (40, 31)])
def test_p_value_is_mcnemars(only_candidate: int, only_reference: int) -> None:
    squared = (only_candidate - only_reference) ** 2 / (only_candidate + only_reference)

    found = compare_counts(only_candidate, only_reference, 1000)

    assert found.p_value == pytest.approx(math.erfc(math.sqrt(squared / 2)))


def test_interval_is_that_of_a_published_example() -> None:
    """Of 44 in 50 and 42 in 50 with 1 and 3 discordant pairs, Newcombe (1998) prints it to four digits."""
    found = compare_counts(1, 3, 50)

    assert found.difference == pytest.approx(-0.04)
    low, high = found.difference_interval
    assert (low, high) == pytest.approx((-0.1405, 0.0564), abs=0.02)


def test_no_p_value_is_given_as_0() -> None:
    assert compare_counts(6, 4658, 10_000).p == "p below 0.0001"
    assert compare_counts(6, 0, 1000).p == "p = 0.014"


def test_only_images_that_one_model_gets_right_count() -> None:
    labels = np.array([0, 1, 2, 3, 4], np.uint8)
    one_hot = np.eye(10, dtype=np.float32)
    candidate = one_hot[[0, 1, 2, 9, 9]]
    reference = one_hot[[0, 9, 9, 3, 8]]

    comparison = compare_models(labels, candidate, reference)

    assert (comparison.only_candidate_right, comparison.only_reference_right) == (2, 1)


@pytest.mark.parametrize("examples", [20, 100, 10_000])
def test_interval_p_value_and_verdict_never_contradict_each_other(examples: int) -> None:
    for gained, lost in product(range(0, 20, 2), range(0, 41, 5)):
        if gained + lost > examples:
            continue
        found = compare_counts(gained, lost, examples)
        low, high = found.difference_interval
        assert low <= found.difference <= high
        shown = low > 0 or high < 0
        assert shown == (found.p_value < 0.05) == (found.verdict in {"better", "worse"})
        assert found.verdict != "better" or low > 0
        assert found.verdict != "worse" or high < 0


def _rate(verdict: str, gain: float, discordant: float, examples: int) -> float:
    """Return how often a verdict is given, of the exact distribution of the counts."""
    better, worse = (discordant + gain) / 2, (discordant - gain) / 2
    rate = 0.0
    for gained in range(40):
        first = binom.pmf(gained, examples, better)
        others = binom.pmf(np.arange(40), examples - gained, worse / (1 - better))
        for lost, second in enumerate(others):
            if first * second > 1e-9 and _compared(gained, lost, examples).verdict == verdict:
                rate += first * second
    return rate


def _compared(gained: int, lost: int, examples: int) -> Comparison:
    key = gained, lost, examples
    if key not in _SEEN:
        _SEEN[key] = compare_counts(*key)
    return _SEEN[key]


_SEEN: dict[tuple[int, int, int], Comparison] = {}


def test_error_rates_and_power_are_those_that_are_stated() -> None:
    """Of 10,000 images; the power is that of the normal distribution, and right to some percent."""
    assert _rate("better", 0.0, 0.001, 10_000) < 0.027
    assert _rate("equivalent", 0.002, 0.0025, 10_000) < 0.05
    expected = compare_counts(6, 5, 10_000, margin=0.001).power
    assert _rate("better", 0.001, 0.0012, 10_000) == pytest.approx(expected, abs=0.1)
