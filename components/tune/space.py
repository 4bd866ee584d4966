"""The search space, as data: training options by name, each with the values that a search may give it.

* a list: these values;
* ``{"low": a, "high": b}``: any value between, with ``"log": true`` evenly over the orders of magnitude;
* ``{"times": <one of the two above>}``: the same, as multiples of the chosen recipe's own value.

The recipe's own value is always among them: a list gets it added, a range is widened to it.
"""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from components.common.plan.training import TrainConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

SEARCH_SPACE: dict[str, Any] = {
    "learning_rate": {"times": {"low": 0.4, "high": 2.5, "log": True}},
    "adam_factor": {"times": {"low": 0.4, "high": 2.5, "log": True}},
    "batch_size": {"times": [0.5, 1]},
    "filters": {"times": [0.75, 1, 1.25]},
    "dense_units": {"times": [0.5, 1, 2]},
    "dropout": {"low": 0.0, "high": 0.3},
    "batch_norm": [False, True],
    "augmentation": ["none", "shift", "affine"],
    "label_smoothing": {"low": 0.0, "high": 0.15},
    "optimizer": ["muon", "sgd"],
}
# How likely a drawn configuration keeps the recipe's value of an option.
KEEP = 0.75


def distributions(space: Mapping[str, Any], baseline: TrainConfig) -> "dict[str, BaseDistribution]":
    """Turn the space (`SEARCH_SPACE` if it is empty) into Optuna's distributions around the baseline.

    Raises:
        PipelineError: The space breaks a rule above, or `TrainConfig` refuses one of its values.
    """
    result: dict[str, BaseDistribution] = {}
    for name, values in (space or SEARCH_SPACE).items():
        if name not in TrainConfig.model_fields or name == "seed":
            options = ", ".join(option for option in TrainConfig.model_fields if option != "seed")
            raise PipelineError(f"search_space: {name!r} is no option to search: choose from {options}.")
        multiples = isinstance(values, dict) and values.keys() == {"times"}
        values = values["times"] if multiples else values  # noqa: PLW2901
        unit = getattr(baseline, name) if multiples else None
        if isinstance(values, list):
            result[name] = _choices(name, values, unit, baseline)
        else:
            result[name] = _range(name, values, unit, baseline)
    return result


def options(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return training options from what Optuna keeps of them."""
    return {name: json.loads(value) if name == "filters" else value for name, value in params.items()}


def params(config: TrainConfig, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Optuna keeps of these options of a configuration."""
    return {name: _kept(getattr(config, name)) for name in names}


def draw(
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


def _choices(name: str, values: list[Any], unit: Any, baseline: TrainConfig) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution

    if not values:
        raise PipelineError(f"search_space: {name} must list at least one value but the list is empty.")
    if unit is not None:
        values = [_multiple(name, unit, factor) for factor in values]
    accepted = [_accepted(name, value, baseline) for value in [*values, getattr(baseline, name)]]
    return CategoricalDistribution(list(dict.fromkeys(_kept(value) for value in accepted)))


def _range(name: str, values: Any, unit: Any, baseline: TrainConfig) -> "BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    rule = (
        f'search_space: {name} must be a list of values, {{"low": a, "high": b}} with or without "log": true, '
        f'or {{"times": one of these}} but got {values!r}.'
    )
    if not isinstance(values, dict) or not {"low", "high"} <= values.keys() <= {"low", "high", "log"}:
        raise PipelineError(rule)
    low, high, log = values["low"], values["high"], values.get("log", False)
    if not _is_number(low) or not _is_number(high) or not isinstance(log, bool):
        raise PipelineError(rule)
    own = getattr(baseline, name)
    if not _is_number(own):
        raise PipelineError(
            f"search_space: {name} is no number, so it takes a list of values but got a range."
        )
    if low > high:
        raise PipelineError(f"search_space: {name} must have low <= high but got {low} > {high}.")
    if unit is not None:
        low, high = (_multiple(name, unit, factor) for factor in (low, high))
    low, high = (_accepted(name, bound, baseline) for bound in (low, high))
    kind = IntDistribution if isinstance(low, int) else FloatDistribution
    low, high = min(low, own), max(high, own)
    if log and low <= 0:
        raise PipelineError(f"search_space: {name} must stay above 0 for a log scale but low is {low}.")
    return kind(low, high, log=log)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _multiple(name: str, unit: Any, factor: Any) -> Any:
    """Multiply the recipe's value, or each of its nested values; whole numbers stay whole, and at least 1."""
    if not _is_number(factor):
        raise PipelineError(f"search_space: {name} takes numbers as multiples but got {factor!r}.")
    if isinstance(unit, tuple):
        return tuple(_multiple(name, part, factor) for part in unit)
    if not _is_number(unit):
        raise PipelineError(f"search_space: {name} is no number, so it has no multiples: list its values.")
    return max(1, round(unit * factor)) if isinstance(unit, int) else unit * factor


def _accepted(name: str, value: Any, baseline: TrainConfig) -> Any:
    """Return the value as `TrainConfig` takes it: 64.0, as Kubeflow hands on the 64 of a JSON object, is 64."""
    try:
        return getattr(baseline.differing(**{name: value}), name)
    except PipelineError as error:
        raise PipelineError(f"search_space: {error}") from None
