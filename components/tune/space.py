"""Optuna's view of the search space, and the configurations that a search tries."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.common.plan.space import Choices, ranges
from components.common.plan.training import TrainConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# Probability that a drawn configuration keeps the recipe's value of an option.
KEEP = 0.75


def distributions(space: Mapping[str, Any], baseline: TrainConfig) -> "dict[str, BaseDistribution]":
    """Turn the space into Optuna's distributions around the baseline.

    Raises:
        PipelineError: The space breaks its rules.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for name, values in ranges(space, baseline).items():
        if isinstance(values, Choices):
            found[name] = CategoricalDistribution([_kept(value) for value in values.values])
        elif isinstance(values.low, int) and isinstance(values.high, int):
            found[name] = IntDistribution(values.low, values.high, log=values.log)
        else:
            found[name] = FloatDistribution(values.low, values.high, log=values.log)
    return found


def options(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return training options from what Optuna keeps of them."""
    return {name: json.loads(value) if name == "filters" else value for name, value in params.items()}


def params(config: TrainConfig, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Optuna keeps of these options of a configuration."""
    return {name: _kept(getattr(config, name)) for name in names}


def draw_configurations(
    baseline: TrainConfig, searched: "Mapping[str, BaseDistribution]", count: int, seed: int
) -> list[dict[str, Any]]:
    """Draw configurations around the baseline, as what Optuna keeps of them.

    A recipe is better than nearly all of its search space, and so are its neighbours. Each option keeps the recipe's
    value with probability `KEEP`, or is drawn anew from the whole of its distribution. The baseline itself is drawn
    only if the space holds nothing else.
    """
    import numpy as np
    import optuna

    generator = np.random.default_rng(seed)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    own = params(baseline, searched)
    nothing_else = all(distribution.single() for distribution in searched.values())
    drawn: list[dict[str, Any]] = []
    while len(drawn) < count:
        fresh = study.ask(dict(searched)).params
        kept = generator.random(len(own)) < KEEP
        one = {name: own[name] if keep else fresh[name] for name, keep in zip(own, kept, strict=True)}
        if one != own or nothing_else:
            drawn.append(one)
    return drawn


def _kept(value: Any) -> Any:
    # Optuna's storages keep no nested lists.
    return json.dumps(value) if isinstance(value, tuple) else value
