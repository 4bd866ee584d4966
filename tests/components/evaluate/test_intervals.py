import numpy as np
import pytest
from scipy.stats import binom, binomtest

from components.evaluate.intervals import mean_interval, share_interval, share_intervals


@pytest.mark.parametrize(("hits", "total"), [(50, 100), (9926, 10_000), (20, 20), (0, 20), (1, 1)])
def test_shares_have_the_exact_interval(hits: int, total: int) -> None:
    reference = binomtest(hits, total).proportion_ci(0.95, method="exact")
    assert share_interval(hits, total) == pytest.approx((reference.low, reference.high))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_the_exact_interval_covers_the_truth(share: float) -> None:
    hits = np.arange(21)
    low, high = share_intervals(hits, np.full(21, 20)).T
    covered = (low <= share) & (share <= high)
    assert binom.pmf(hits[covered], 20, share).sum() >= 0.95


def test_a_mean_of_equal_weights_is_a_rate_of_mistakes() -> None:
    weights = np.full(2, 1 / 1000)
    low, high = mean_interval((np.array([500, 496]), weights), (np.array([0, 4]), weights))
    # Poisson's exact limits for 4 mistakes.
    assert (low, high) == pytest.approx((1 - 10.242 / 1000, 1 - 1.090 / 1000), abs=1e-5)


def test_a_mean_without_a_mistake_allows_for_the_heaviest_one() -> None:
    weights = np.array([0.01, 0.1])
    low, high = mean_interval((np.array([50, 5]), weights), (np.zeros(2), weights))
    # None of a kind of mistake is seen by chance in 2.5% of cases where 3.689 are expected.
    assert (low, high) == pytest.approx((1 - 0.3689, 1), abs=1e-4)


def test_a_mean_near_0_counts_the_right_answers() -> None:
    weights = np.full(1, 0.01)
    bounds = mean_interval((np.array([0]), weights), (np.array([100]), weights))
    assert bounds == pytest.approx((0, 0.03689), abs=1e-5)
