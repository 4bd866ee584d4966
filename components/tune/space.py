"""The search space, as data."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.train.config import TrainConfig

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

# Training options by name: a list of choices, or the bounds of a range.
SEARCH_SPACE: dict[str, Any] = {
    "learning_rate": {"low": 5e-4, "high": 1e-2, "log": True},
    "batch_size": [64, 128, 256],
    "dense_units": [64, 128],
    "dropout": {"low": 0.0, "high": 0.4},
    "label_smoothing": {"low": 0.0, "high": 0.15},
    "batch_norm": [False, True],
    "augmentation": ["none", "shift", "affine"],
}


def distributions(space: Mapping[str, Any], baseline: TrainConfig) -> "dict[str, BaseDistribution]":
    """Turn the space into Optuna's distributions, widened where the baseline's value lies outside."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    result: dict[str, BaseDistribution] = {}
    for name, values in space.items():
        own = getattr(baseline, name)
        if isinstance(values, list):
            result[name] = CategoricalDistribution([*values, *([] if own in values else [own])])
        else:
            low, high = min(values["low"], own), max(values["high"], own)
            result[name] = FloatDistribution(low, high, log=values.get("log", False))
    return result


def suggest(trial: "optuna.Trial", space: "Mapping[str, BaseDistribution]") -> dict[str, Any]:
    """Let the sampler choose a value for every name."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    chosen: dict[str, Any] = {}
    for name, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            chosen[name] = trial.suggest_categorical(name, distribution.choices)
        elif isinstance(distribution, FloatDistribution):
            chosen[name] = trial.suggest_float(
                name, distribution.low, distribution.high, log=distribution.log
            )
    return chosen
