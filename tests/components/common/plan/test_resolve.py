import json
import math
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import PipelineError
from components.common.plan.__main__ import page
from components.common.plan.resolve import (
    OPTIONS,
    SHORT_FORMS,
    fitted,
    flattened,
    option_name,
    option_rows,
    parsed,
    resolve,
    resolve_form,
    values_of,
)
from components.common.plan.run import RunPlan
from components.common.plan.space import SEARCH_SPACE
from components.common.plan.training import RECIPES, TrainConfig

ROOT = Path(__file__).parents[4]
FORM = {"data.source": "mnist", "recipe": "fast", "search.trials": 6}


def _resolve(**options: Any) -> RunPlan:
    return resolve([("option", {name.replace("__", "."): value for name, value in options.items()})]).plan


def test_every_option_of_every_section_has_a_dotted_name() -> None:
    assert {name for name in OPTIONS if name.startswith("training.")} == {
        f"training.{name}" for name in TrainConfig.model_fields
    }
    assert OPTIONS.keys() >= {"recipe", "seeds", "search.space", "gate.min_accuracy", "registry.model"}
    assert not {"run_id", "run_name", "gpu_count", "format"} & OPTIONS.keys()


def test_every_option_is_described() -> None:
    rows = {name: (rule, meaning) for name, rule, _, meaning in option_rows()}
    assert rows.keys() == OPTIONS.keys()
    assert all(rule and meaning for rule, meaning in rows.values())
    assert rows["training.dropout"][0] == "number, at least 0, below 1"
    assert rows["recipe"][0] == ", ".join(RECIPES)


def test_the_page_of_options_is_up_to_date() -> None:
    assert (ROOT / "docs" / "options.md").read_text() == "\n".join(page()) + "\n"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("training.dropout", "training.dropout"),
        ("dropout", "training.dropout"),
        ("epochs", "training.epochs"),
        ("seed", "training.seed"),
        ("seeds", "seeds"),
        ("trials", "search.trials"),
        ("min_accuracy", "gate.min_accuracy"),
        ("skip_if_unchanged", "gate.skip_if_unchanged"),
        *SHORT_FORMS.items(),
    ],
)
def test_short_forms_name_the_same_option(given: str, name: str) -> None:
    assert option_name(given) == name


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("training.droput", "did you mean training.dropout"),
        ("epoch", "did you mean training.epochs"),
        ("min_acuracy", "did you mean gate.min_accuracy"),
        ("gate.trials", "did you mean search.trials"),
        ("tuning_worker", "did you mean tuning_workers"),
        ("", "`mnist-pipeline plan` lists all"),
        ("run_id", "`mnist-pipeline plan` lists all"),
        ("xyzzy", "`mnist-pipeline plan` lists all"),
    ],
)
def test_an_unknown_name_is_refused_with_the_near_ones(given: str, near: str) -> None:
    with pytest.raises(PipelineError, match=f"must have a name of the plan but got {given!r}: ") as refused:
        option_name(given)
    assert near in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("training.epochs", "1.5", 1.5),
        ("training.filters", "[[8], [16]]", [[8], [16]]),
        ("training.batch_norm", "true", True),
        ("training.optimizer", "sgd", "sgd"),
        ("training.views", "5", 5),
        ("data.version", "7", "7"),
        ("data.name", "null", "null"),
        ("data.source", "s3://bucket/a=b", "s3://bucket/a=b"),
        ("recipe", "fast", "fast"),
        ("search.space", '{"dropout": [0.1]}', {"dropout": [0.1]}),
        ("search.trials", "six", "six"),
    ],
)
def test_a_text_is_read_by_its_options_type(name: str, text: str, value: Any) -> None:
    assert parsed(name, text) == value
    assert type(parsed(name, text)) is type(value)


def test_a_document_may_nest_sections_and_use_short_forms() -> None:
    document = {
        "recipe": "best",
        "training": {"dropout": 0.2},
        "trials": 3,
        "gate.min_accuracy": 0.9,
        "data": "digits",
        "search": {"space": {"dropout": [0.1]}},
    }
    assert flattened(document) == {
        "recipe": "best",
        "training.dropout": 0.2,
        "search.trials": 3,
        "gate.min_accuracy": 0.9,
        "data.source": "digits",
        "search.space": {"dropout": [0.1]},
    }


def test_a_plan_of_an_earlier_run_is_a_document_too() -> None:
    earlier = resolve([("option", {"recipe": "best", "dropout": 0.25})], run_id="1", run_name="one").plan
    again = resolve([("file", flattened(json.loads(earlier.model_dump_json())))], run_id="2", run_name="two")
    assert values_of(again.plan) == values_of(earlier)
    assert (again.plan.run_id, again.plan.digest()) == ("2", earlier.digest())


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_alone_is_the_recipe(recipe: str) -> None:
    plan = _resolve(recipe=recipe)
    assert (plan.recipe, plan.training) == (recipe, RECIPES[recipe])
    assert plan.search.space == SEARCH_SPACE


def test_a_later_layer_counts_more_and_every_value_has_an_origin() -> None:
    resolved = resolve(
        [("file my.yaml", {"dropout": 0.1, "recipe": "seed"}), ("option", {"training.dropout": 0.2})]
    )
    assert resolved.plan.training == RECIPES["seed"].differing(dropout=0.2)
    assert resolved.origins.keys() == OPTIONS.keys()
    assert resolved.origins["training.dropout"] == "option"
    assert resolved.origins["recipe"] == "file my.yaml"
    assert resolved.origins["training.epochs"] == "default"
    assert resolve([]).origins["training.epochs"] == "recipe fast"


@pytest.mark.parametrize(
    ("options", "min_steps"),
    [
        ({}, 180),
        ({"batch_size": 64}, 180),
        ({"epochs": 0.5}, 0),
        ({"epochs": 3, "min_steps": 50}, 50),
        ({"min_steps": 50}, 50),
    ],
)
def test_epochs_that_are_given_are_exact(options: dict[str, Any], min_steps: int) -> None:
    assert _resolve(**options).training.min_steps == min_steps


def test_kubeflows_fractions_of_whole_numbers_are_whole_numbers() -> None:
    plan = _resolve(batch_size=64.0, views=5.0, trials=3.0, filters=[[8.0], [16.0]])
    assert plan == _resolve(batch_size=64, views=5, trials=3, filters=[[8], [16]])
    assert plan.training.filters == ((8,), (16,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "slow"}, "recipe must be one of seed, fast, best but is 'slow'."),
        ({"recipe": ["fast"]}, "recipe must be text but is ['fast']."),
        ({"epochs": 0}, "training.epochs must be above 0 but is 0."),
        ({"epochs": -1}, "training.epochs must be above 0 but is -1."),
        ({"batch_size": -8}, "training.batch_size must be above 0 but is -8."),
        ({"batch_size": True}, "training.batch_size must be a whole number but is True."),
        ({"batch_size": 64.5}, "training.batch_size must be a whole number but is 64.5."),
        ({"learning_rate": math.nan}, "training.learning_rate must be a finite number but is nan."),
        ({"learning_rate": "fast"}, "training.learning_rate must be a number but is 'fast'."),
        ({"filters": [[0]]}, "training.filters must be above 0 but is 0."),
        (
            {"filters": [[8, 8, 8]]},
            "training.filters must hold at most 2 values in a place but is [8, 8, 8].",
        ),
        ({"optimizer": "adamw"}, "training.optimizer must be 'adam', 'sgd' or 'muon' but is 'adamw'."),
        ({"seed": -1}, "training.seed must be at least 0 but is -1."),
        ({"seeds": 0}, "seeds must be at least 1 but is 0."),
        ({"fraction": 0.0}, "data.fraction must be above 0 but is 0."),
        ({"fraction": 1.5}, "data.fraction must be at most 1 but is 1.5."),
        ({"split_seed": -1}, "data.split_seed must be at least 0 but is -1."),
        ({"stratify": "yes"}, "data.stratify must be true or false but is 'yes'."),
        ({"data_version": 7}, "data.version must be text but is 7."),
        (
            {"dataset_name": "A b"},
            "data.name must be 1 to 40 of a-z, 0-9 and -, a letter or digit first, but is 'A b'.",
        ),
        (
            {"data": "gs://bucket"},
            "data.source must be mnist, digits, a path or a URI of file, http, https, s3",
        ),
        ({"trials": 0}, "search.trials must be at least 1 but is 0."),
        ({"tuning_workers": 0}, "search.workers must be at least 1 but is 0."),
        ({"tuning_seeds": 0}, "search.seeds must be at least 1 but is 0."),
        ({"search_space": {}}, "search.space must hold at least one option but is empty"),
        ({"search_space": []}, "search.space must be an object but is []."),
        ({"search_space": {"dropout": [2]}}, "search.space: training.dropout must be below 1 but is 2."),
        ({"search_space": {"filters": []}}, "search.space.filters must list at least one value"),
        ({"min_accuracy": 95}, "gate.min_accuracy must be at most 1 but is 95."),
        ({"min_accuracy": math.nan}, "gate.min_accuracy must be a finite number but is nan."),
        *(
            ({"model_name": name}, "registry.model must be 1 to 100 of A-Z, a-z, 0-9, _ and -, ")
            for name in ("team/m", "m:1", "it's", "", "..", "a" * 101, "m.history", "vision.m", "-m", "m\n")
        ),
        *(
            ({"experiment_name": name}, "registry.experiment must be 1 to 100 of A-Z, a-z, 0-9, ., _ and -, ")
            for name in (" ", "", "o'brien", ".x", "a" * 101)
        ),
        ({"dataset_name": "-b"}, "data.name must be 1 to 40 of a-z, 0-9 and -, "),
        ({"data_version": "a\x1bb"}, "data.version must be at most 250 printable characters but is "),
        ({"subset": "a" * 251}, "data.subset must be at most 250 printable characters but is "),
        ({"data": "https://host/a?sig=s3cret"}, "data.source must be without user, password and query, "),
        ({"data": "ftp://me:s3cret@host/a"}, "data.source must be mnist, digits, a path or a URI of "),
        (
            {"data": "env:PATH"},
            "data.source must name DATA_URI or MNIST_DATA_URI after env: but is 'env:PATH'.",
        ),
        ({"data.sha256": "abc"}, "data.sha256 must be the 64 hexadecimal digits of a SHA-256 but is 'abc'."),
        ({"subset": "\ud800"}, "each option must be a value that JSON can hold but one is not ("),
        ({"trials": 10**9}, "search.trials must be at most 10000 but is 1000000000."),
        ({"tuning_workers": 10**6}, "search.workers must be at most 256 but is 1000000."),
        ({"seeds": 10**9}, "seeds must be at most 1000 but is 1000000000."),
        ({"tuning_seeds": 1001}, "search.seeds must be at most 1000 but is 1001."),
        ({"epochs": 1e15}, "training.epochs must be at most 100000 but is "),
        ({"min_steps": 2**31}, "training.min_steps must be at most 2147483647 but is 2147483648."),
        ({"batch_size": 2**25}, "training.batch_size must be at most 16777216 but is 33554432."),
        ({"filters": [[2**25]]}, "training.filters must be at most 16777216 but is 33554432."),
        ({"learning_rate": 1e300}, "training.learning_rate must be at most 1000000000000 but is 1e+300"),
        ({"seed": 2**31 - 1}, "training.seed and those of the further trainings must be at most 2147483647"),
        ({"seed": 2**31 - 5, "seeds": 2}, "training.seed and those of the further trainings must be at most"),
    ],
)
def test_a_value_that_breaks_a_rule_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError) as refused:
        _resolve(**options)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert str(refused.value).endswith(".")


def test_a_form_and_its_options_make_one_plan() -> None:
    options = {"training.dropout": 0.1, "gate": {"min_accuracy": 0.9}}
    resolved = resolve_form(FORM | {"recipe": "best"}, options, run_id="1", run_name="one", gpu_count=2)
    plan = resolved.plan
    assert (plan.run_id, plan.run_name, plan.gpu_count) == ("1", "one", 2)
    assert plan.training == RECIPES["best"].differing(dropout=0.1)
    assert plan.gate.min_accuracy == 0.9


def test_an_option_counts_more_than_a_field_that_was_left_alone() -> None:
    plan = resolve_form(FORM, {"trials": 3}, run_id="", run_name="", gpu_count=0).plan
    assert plan.search.trials == 3


def test_a_field_and_an_option_that_contradict_each_other_are_refused() -> None:
    form = FORM | {"search.trials": 12}
    with pytest.raises(
        PipelineError, match=r"search\.trials must be given once but is 12 in its field and 3"
    ):
        resolve_form(form, {"search.trials": 3}, run_id="", run_name="", gpu_count=0)
    assert resolve_form(form, {"trials": 12}, run_id="", run_name="", gpu_count=0).plan.search.trials == 12


@pytest.mark.parametrize(
    ("options", "images", "batch"),
    [({}, 48000, 320), ({}, 320, 320), ({}, 319, 256), ({}, 3, 2), ({"recipe": "seed"}, 60, 32)],
)
def test_a_batch_of_the_recipe_becomes_one_that_the_training_split_fills(
    options: dict[str, Any], images: int, batch: int
) -> None:
    resolved = resolve([("test", options)])
    plan, note = fitted(resolved, images)
    assert plan.training.batch_size == batch
    assert plan.training.differing(batch_size=1) == resolved.plan.training.differing(batch_size=1)
    assert bool(note) == (plan.training.batch_size != resolved.plan.training.batch_size)


@pytest.mark.parametrize(("options", "images"), [({"training.batch_size": 64}, 63), ({}, 0)])
def test_a_batch_that_was_asked_for_is_not_changed(options: dict[str, Any], images: int) -> None:
    with pytest.raises(PipelineError, match=f"must be at most the {images} training images"):
        fitted(resolve([("test", options)]), images)
