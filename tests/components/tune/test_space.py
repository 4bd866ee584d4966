from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from components.train.config import RECIPES, TrainConfig
from components.tune.space import SEARCH_SPACE, distributions, suggest


def test_every_name_is_a_training_option() -> None:
    assert SEARCH_SPACE.keys() <= TrainConfig.model_fields.keys()


@pytest.mark.parametrize(
    ("name", "own", "distribution"),
    [
        ("learning_rate", 0.001, FloatDistribution(5e-4, 1e-2, log=True)),
        ("learning_rate", 0.1, FloatDistribution(5e-4, 0.1, log=True)),
        ("learning_rate", 1e-5, FloatDistribution(1e-5, 1e-2, log=True)),
        ("batch_size", 128, CategoricalDistribution([64, 128, 256])),
        ("batch_size", 32, CategoricalDistribution([64, 128, 256, 32])),
        ("dense_units", 16, CategoricalDistribution([64, 128, 16])),
        ("dropout", 0.0, FloatDistribution(0.0, 0.4)),
        ("dropout", 0.5, FloatDistribution(0.0, 0.5)),
        ("label_smoothing", 0.3, FloatDistribution(0.0, 0.3)),
        ("batch_norm", True, CategoricalDistribution([False, True])),
        ("augmentation", "none", CategoricalDistribution(["none", "shift", "affine"])),
    ],
)
def test_the_space_is_widened_to_hold_the_baseline(
    name: str, own: Any, distribution: BaseDistribution
) -> None:
    assert distributions(SEARCH_SPACE, TrainConfig(**{name: own}))[name] == distribution


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "baseline",
    [*RECIPES.values(), TrainConfig(learning_rate=0.5, batch_size=1, dense_units=3, dropout=0.9)],
    ids=[*RECIPES, "outside"],
)
def test_suggestions_are_valid_configurations(baseline: TrainConfig, seed: int) -> None:
    space = distributions(SEARCH_SPACE, baseline)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    seen: dict[str, set[Any]] = {name: set() for name in space}

    for _ in range(20):
        chosen = suggest(study.ask(), space)
        assert chosen.keys() == SEARCH_SPACE.keys()
        config = baseline.differing(**chosen)
        for name, value in chosen.items():
            assert getattr(config, name) == value
            seen[name].add(value)

    for name, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            assert seen[name] == set(distribution.choices)
        else:
            assert len(seen[name]) == 20
