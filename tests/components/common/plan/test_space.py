from typing import Any

import pytest

from components.common.errors import PipelineError
from components.common.plan.space import Choices, Range, ranges
from components.common.plan.training import RECIPES

FAST = RECIPES["fast"]


def test_a_space_is_read_as_values_and_ranges_around_the_baseline() -> None:
    space = {
        "batch_size": {"times": [0.5, 1]},
        "learning_rate": {"low": 0.01, "high": 0.05, "log": True},
        "dense_units": {"low": 16.0, "high": 32.0},
    }
    assert ranges(space, FAST) == {
        "batch_size": Choices((160, 320)),
        "learning_rate": Range(0.01, 0.1, log=True),
        "dense_units": Range(16, 64, log=False),
    }


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"search\.space must hold at least one option but is empty"):
        ranges({}, FAST)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"dropuot": [0.1]},
            "search.space must name training options but holds 'dropuot': choose from filters, ",
        ),
        ({"seed": [1, 2]}, "search.space must name training options but holds 'seed'"),
        ({"batch_size": []}, "search.space.batch_size must list at least one value but the list is empty."),
        (
            {"dropout": {"low": 0.4, "high": 0.1}},
            "search.space.dropout must have low <= high but got 0.4 > 0.1.",
        ),
        (
            {"dropout": {"low": 0, "high": 0.3, "log": True}},
            "search.space.dropout must stay above 0 for a log scale but low is 0",
        ),
        (
            {"dropout": {"low": 0.1, "high": 0.3, "log": True}},
            "search.space.dropout must stay above 0 for a log scale",
        ),
        (
            {"dropout": {"low": 0.1}},
            r"search.space.dropout must be a list of values, .* but got \{'low': 0.1\}\.",
        ),
        ({"dropout": {"low": 0, "high": 1, "step": 2}}, "search.space.dropout must be a list of values"),
        ({"dropout": {"low": "0", "high": 1}}, "search.space.dropout must be a list of values"),
        ({"dropout": {"low": 0, "high": float("nan")}}, "search.space.dropout must be a list of values"),
        ({"dropout": {"low": 0, "high": 0.5, "log": "yes"}}, "search.space.dropout must be a list of values"),
        ({"dropout": "high"}, "search.space.dropout must be a list of values, .* but got 'high'"),
        (
            {"dropout": {"low": 0, "high": 1.5}},
            "search.space: training.dropout must be below 1 but is 1.5",
        ),
        ({"batch_size": [0]}, "search.space: training.batch_size must .* but is 0"),
        ({"batch_size": [64.5]}, "search.space: training.batch_size must .* but is 64.5"),
        ({"augmentation": ["mirror"]}, "search.space: training.augmentation must .* but is 'mirror'"),
        (
            {"augmentation": {"low": 0, "high": 1}},
            "search.space.augmentation is no number, so it takes a list",
        ),
        ({"augmentation": {"times": [2]}}, "search.space.augmentation is no number, so it has no multiples"),
        ({"filters": {"low": 0, "high": 1}}, "search.space.filters is no number, so it takes a list"),
        ({"batch_size": {"times": [1e308]}}, "search.space.batch_size takes numbers as multiples but got 1e"),
        (
            {"batch_size": {"times": [10**400]}},
            "search.space.batch_size takes numbers as multiples but got 1",
        ),
        ({"batch_size": {"times": ["2"]}}, "search.space.batch_size takes numbers as multiples but got '2'"),
    ],
)
def test_a_space_that_breaks_a_rule_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError, match=f"^{message}"):
        ranges(space, FAST)
