import statistics
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from components.common.plan.space import SEARCH_SPACE
from components.common.plan.training import RECIPES, TrainConfig
from components.tune.space import distributions, draw_configurations, options, params

FAST = RECIPES["fast"]


@pytest.mark.parametrize(
    ("name", "own", "values", "distribution"),
    [
        ("dropout", 0.0, {"low": 0.1, "high": 0.4}, FloatDistribution(0.0, 0.4)),
        ("dropout", 0.5, {"low": 0.1, "high": 0.4}, FloatDistribution(0.1, 0.5)),
        ("learning_rate", 0.1, {"low": 0.01, "high": 1, "log": True}, FloatDistribution(0.01, 1, log=True)),
        ("learning_rate", 0.5, {"times": {"low": 0.5, "high": 2}}, FloatDistribution(0.25, 1.0)),
        ("epochs", 2, {"low": 1, "high": 3}, FloatDistribution(1, 3)),
        ("dense_units", 64, {"low": 16.0, "high": 128.0}, IntDistribution(16, 128)),
        ("batch_size", 32, [64, 128.0], CategoricalDistribution([64, 128, 32])),
        ("batch_size", 256, {"times": [0.5, 1]}, CategoricalDistribution([128, 256])),
        ("filters", [[16], [3]], {"times": [0.5, 1]}, CategoricalDistribution(["[[8], [2]]", "[[16], [3]]"])),
        ("filters", [[16]], [[[8, 8]]], CategoricalDistribution(["[[8, 8]]", "[[16]]"])),
        ("batch_norm", True, [False], CategoricalDistribution([False, True])),
        ("augmentation", "none", ["shift"], CategoricalDistribution(["shift", "none"])),
    ],
)
def test_a_space_holds_what_it_says_and_the_baseline(
    name: str, own: Any, values: Any, distribution: BaseDistribution
) -> None:
    baseline = FAST.differing(**{name: own})

    assert distributions({name: values}, baseline) == {name: distribution}


@pytest.mark.parametrize("baseline", RECIPES.values(), ids=RECIPES)
def test_what_is_drawn_makes_configurations(baseline: TrainConfig) -> None:
    space = distributions(SEARCH_SPACE, baseline)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))

    for _ in range(20):
        drawn = study.ask(space).params
        config = baseline.differing(**options(drawn))
        assert params(config, space) == drawn
    assert baseline.differing(**options(params(baseline, space))) == baseline


def test_draws_stay_near_the_baseline() -> None:
    searched = distributions(SEARCH_SPACE, FAST)
    own = params(FAST, searched)

    drawn = draw_configurations(FAST, searched, 200, seed=0)

    changed = [{name for name in own if one[name] != own[name]} for one in drawn]
    assert all(changed)
    # Of ten options a quarter is drawn anew; half of the new booleans are as they were.
    assert 1.5 < statistics.fmean(map(len, changed)) < 3
    assert set().union(*changed) == own.keys()
    for one in drawn:
        FAST.differing(**options(one))
    assert drawn == draw_configurations(FAST, searched, 200, seed=0)
    assert drawn[:20] == draw_configurations(FAST, searched, 20, seed=0)
    assert drawn != draw_configurations(FAST, searched, 200, seed=1)


def test_a_space_of_the_baseline_alone_is_drawn_all_the_same() -> None:
    drawn = draw_configurations(FAST, distributions({"dropout": [FAST.dropout]}, FAST), 2, seed=0)

    assert drawn == [{"dropout": FAST.dropout}] * 2
