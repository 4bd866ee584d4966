"""Rules of the search space: training options by name, each with the values that a search may give it.

* a list: these values;
* `{"low": a, "high": b}`: any value between, with `"log": true` evenly over the orders of magnitude;
* `{"times": <one of the two above>}`: the same, as multiples of the recipe's value.

The recipe's value is always among them: a list gets it added, a range is widened to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.common.errors import PipelineError
from components.common.plan.training import TrainConfig

# Any larger one is no value of an option; products of two still have a floating-point number.
LARGEST_NUMBER = 1e100

SEARCH_SPACE: dict[str, Any] = {
    "learning_rate": {"times": {"low": 0.4, "high": 2.5, "log": True}},
    "adam_factor": {"times": {"low": 0.4, "high": 2.5, "log": True}},
    "batch_size": {"times": [0.5, 1]},
    "filters": {"times": [0.75, 1, 1.25]},
    "dense_units": {"times": [0.5, 1, 2]},
    "dropout": {"low": 0, "high": 0.3},
    "batch_norm": [False, True],
    "augmentation": ["none", "shift", "affine"],
    "label_smoothing": {"low": 0, "high": 0.15},
    "optimizer": ["muon", "sgd"],
}


@dataclass(frozen=True)
class Choices:
    """Values to choose from, each as `TrainConfig` holds it."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole where `low` is; `log` spreads them evenly over orders of magnitude."""

    low: float
    high: float
    log: bool


def ranges(space: Mapping[str, Any], baseline: TrainConfig) -> dict[str, Choices | Range]:
    """Return the values of each option around the baseline.

    Raises:
        PipelineError: The space breaks a rule above, or `TrainConfig` refuses one of its values.
    """
    if not space:
        raise PipelineError(
            "search.space must hold at least one option but is empty: set search.trials=1 to search nothing."
        )
    return {name: _values(name, values, baseline) for name, values in space.items()}


def _values(name: str, values: Any, baseline: TrainConfig) -> Choices | Range:
    if name not in TrainConfig.model_fields or name == "seed":
        options = ", ".join(option for option in TrainConfig.model_fields if option != "seed")
        raise PipelineError(
            f"search.space must name training options but holds {name!r}: choose from {options}."
        )
    multiples = isinstance(values, dict) and values.keys() == {"times"}
    values = values["times"] if multiples else values
    unit = getattr(baseline, name) if multiples else None
    if isinstance(values, list):
        return _choices(name, values, unit, baseline)
    return _range(name, values, unit, baseline)


def _choices(name: str, values: list[Any], unit: Any, baseline: TrainConfig) -> Choices:
    if not values:
        raise PipelineError(f"search.space.{name} must list at least one value but the list is empty.")
    if unit is not None:
        values = [_multiple(name, unit, factor) for factor in values]
    accepted = [_accepted(name, value, baseline) for value in [*values, getattr(baseline, name)]]
    return Choices(tuple(dict.fromkeys(accepted)))


def _range(name: str, values: Any, unit: Any, baseline: TrainConfig) -> Range:
    rule = (
        f'search.space.{name} must be a list of values, {{"low": a, "high": b}} with or without "log": true, '
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
            f"search.space.{name} is no number, so it takes a list of values but got a range."
        )
    if low > high:
        raise PipelineError(f"search.space.{name} must have low <= high but got {low} > {high}.")
    if unit is not None:
        low, high = (_multiple(name, unit, factor) for factor in (low, high))
    low, high = (_accepted(name, bound, baseline) for bound in (low, high))
    low, high = min(low, own), max(high, own)
    if log and low <= 0:
        raise PipelineError(f"search.space.{name} must stay above 0 for a log scale but low is {low}.")
    return Range(low, high, log)


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) <= LARGEST_NUMBER


def _multiple(name: str, unit: Any, factor: Any) -> Any:
    """Multiply the recipe's value, or each of its nested values; whole numbers stay whole, and at least 1."""
    if not _is_number(factor):
        raise PipelineError(f"search.space.{name} takes numbers as multiples but got {factor!r}.")
    if isinstance(unit, tuple):
        return tuple(_multiple(name, part, factor) for part in unit)
    if not _is_number(unit):
        raise PipelineError(f"search.space.{name} is no number, so it has no multiples: list its values.")
    return max(1, round(unit * factor)) if isinstance(unit, int) else unit * factor


def _accepted(name: str, value: Any, baseline: TrainConfig) -> Any:
    """Return the value as `TrainConfig` takes it: 64.0, as Kubeflow hands on the 64 of a JSON object, is 64."""
    try:
        return getattr(baseline.differing(**{name: value}), name)
    except PipelineError as error:
        message = f"search.space: {error}"
        raise PipelineError(message) from None
