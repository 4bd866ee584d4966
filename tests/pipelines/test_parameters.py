from typing import Any

import pytest

from components.common.errors import PipelineError
from components.common.plan.training import RECIPES
from pipelines.parameters import check_arguments, defaults, parse_settings


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("epochs=6", "epochs", 6),
        ("learning_rate=0.01", "learning_rate", 0.01),
        ("learning_rate=1", "learning_rate", 1.0),
        ("stratify=true", "stratify", True),
        ("data=s3://bucket/a=b", "data", "s3://bucket/a=b"),
        ("data_version=7", "data_version", "7"),
        ("gpu_count=1", "gpu_count", "1"),
        ("model_name=", "model_name", ""),
        ('node_selector={"pool": "gpu"}', "node_selector", {"pool": "gpu"}),
        ('tolerations=[{"key": "gpu"}]', "tolerations", [{"key": "gpu"}]),
    ],
)
def test_a_setting_is_read_by_its_parameters_type(setting: str, name: str, value: object) -> None:
    parsed = parse_settings([setting])
    assert parsed == {name: value}
    assert type(parsed[name]) is type(value)


def test_the_last_of_equal_settings_counts() -> None:
    assert parse_settings(["seed=1", "trials=2", "seed=3"]) == {"seed": 3, "trials": 2}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", r"--set takes name=value but got 'epochs'"),
        ("", r"--set takes name=value but got ''"),
        ("epoch=1", r"'epoch' is no pipeline parameter: choose from batch_size, data, .*, tuning_workers\."),
        ("=1", r"'' is no pipeline parameter"),
        ("epochs=six", r"parameter epochs must be a whole number but got 'six'"),
        ("epochs=6.0", r"must be a whole number but got '6\.0'"),
        ("epochs=", r"must be a whole number but got ''"),
        ("epochs=true", r"must be a whole number but got 'true'"),
        ("fraction=half", r"parameter fraction must be a number but got 'half'"),
        ("fraction=true", r"must be a number but got 'true'"),
        ("stratify=yes", r"parameter stratify must be true or false but got 'yes'"),
        ("stratify=1", r"must be true or false but got '1'"),
        ("node_selector=[]", r"node_selector must be a JSON object like .* but got '\[\]'"),
        ("tolerations={}", r"tolerations must be a JSON list but got '\{\}'"),
    ],
)
def test_a_setting_that_breaks_the_rule_is_an_error(setting: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        parse_settings([setting])


def test_defaults_are_the_pipelines() -> None:
    given = defaults()
    assert given["data"] == "mnist"
    assert given["tolerations"] == []
    check_arguments(given)


@pytest.mark.parametrize(
    "arguments",
    [
        *({"recipe": recipe} for recipe in RECIPES),
        {"epochs": 1, "batch_size": 32, "learning_rate": 0.1},
        {"fraction": 0.01},
        {"min_accuracy": 0},
        {"min_accuracy": 1.0},
        {"trials": 1, "tuning_workers": 3},
        {"search_space": {"dropout": [0.1, 0.2], "learning_rate": {"times": {"low": 0.5, "high": 2}}}},
    ],
)
def test_arguments_that_the_steps_accept(arguments: dict[str, Any]) -> None:
    check_arguments(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipe": "slow"}, "recipe must be one of seed, fast, best but got 'slow'"),
        ({"epochs": -1}, "epochs: .* but got -1"),
        ({"batch_size": -8}, "batch_size: .* but got -8"),
        ({"learning_rate": float("nan")}, "learning_rate: .* but got nan"),
        ({"seeds": 0}, "seeds counts the trainings, so it must be at least 1 but got 0"),
        ({"seed": -1}, "seed: .* but got -1"),
        ({"fraction": 0.0}, "fraction must be above 0"),
        ({"fraction": 1.5}, "at most 1 but is 1.5"),
        ({"split_seed": -1}, "split_seed must be 0 to"),
        ({"trials": 0}, "trials .* at least 1 but got 0"),
        ({"tuning_workers": 0}, "tuning_workers must be at least 1 but got 0"),
        ({"tuning_seeds": 0}, "tuning_seeds must be at least 1 but got 0"),
        ({"search_space": {"dropout": [2]}}, "search_space: training option dropout: .* but got 2"),
        (
            {"recipe": "seed", "search_space": {"filters": []}},
            "search_space: filters must list at least one value",
        ),
        ({"gpu_count": "one"}, "gpu_count must be a whole number but got 'one'"),
        ({"gpu_count": "-1"}, "gpu_count must be a whole number but got '-1'"),
        ({"min_accuracy": 95}, "min_accuracy must lie between 0 and 1 but got 95"),
        ({"min_accuracy": float("nan")}, "min_accuracy must lie between 0 and 1 but got nan"),
    ],
)
def test_arguments_that_a_step_would_refuse_are_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        check_arguments(arguments)
