import numpy as np
import pytest
from scipy.stats import binom, ks_2samp

from components.monitor.significance import adjusted, distribution_test, growth_tests

UNKNOWN = 1e-4


def test_without_tolerance_the_distance_has_the_chance_of_scipys_test() -> None:
    rng = np.random.default_rng(0)
    found, reference = rng.normal(0.2, 1, 300), rng.normal(0, 1, 900)
    expected = ks_2samp(found, reference, method="asymp")
    distance, p_value = distribution_test(found, reference, 0.0)
    assert (distance, p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert distribution_test(found, reference, distance)[1] == 1


def test_a_tolerated_share_of_other_values_is_hardly_ever_an_alarm() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(0, 1, 4000)
    alarms = 0
    for _ in range(200):
        found = rng.normal(0, 1, 1000)
        found[:50] = 9.0
        alarms += distribution_test(found, reference, 0.05)[1] < 0.05
    assert alarms <= 10
    found[:200] = 9.0
    assert distribution_test(found, reference, 0.05)[1] < 1e-6


def test_growth_of_a_share_is_the_exact_binomial_chance_beyond_what_the_reference_allows() -> None:
    large = 10**9
    (p_value,) = growth_tests(np.array([30]), 500, np.array([large // 50]), large, 0.01, UNKNOWN)
    assert p_value == pytest.approx(binom.sf(29, 500, 0.03) + UNKNOWN, rel=0.01)
    # A small reference knows its share badly.
    (unsure,) = growth_tests(np.array([30]), 500, np.array([2]), 100, 0.01, UNKNOWN)
    assert unsure > 0.5
    assert growth_tests(np.array([0, 100]), 100, np.array([0, 100]), 100, 0.0, UNKNOWN).tolist() == [1, 1]


def test_growth_tests_keep_their_rate_where_reference_and_requests_are_alike() -> None:
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(300):
        reference, found = rng.binomial(300, 0.02), rng.binomial(500, 0.02)
        alarms += growth_tests(np.array([found]), 500, np.array([reference]), 300, 0.0, UNKNOWN)[0] < 0.05
    assert alarms <= 15


def test_adjustment_is_holms() -> None:
    found = adjusted(np.array([0.04, 0.01, 0.03, 0.5]))
    assert found.tolist() == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert adjusted(np.array([0.9, 0.8])).tolist() == [1, 1]
