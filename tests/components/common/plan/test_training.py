import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from components.common.errors import PipelineError
from components.common.plan.training import RECIPES, TrainConfig


def test_the_seed_recipe_is_the_tutorial() -> None:
    assert RECIPES["seed"].model_dump() == {
        "filters": ((32,), (64,), (64,)),
        "dense_units": 64,
        "dropout": 0.0,
        "batch_norm": False,
        "precise_batch_norm": False,
        "crop": 0,
        "views": 1,
        "augmentation": "none",
        "label_smoothing": 0.0,
        "class_weights": False,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "adam_factor": 0.15,
        "schedule": "constant",
        "warmup": 0.0,
        "epochs": 20,
        "min_steps": 0,
        "batch_size": 64,
        "precision": "float32",
        "compiled_loop": False,
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("filters", [], "at least 1 values"),
        ("filters", [[8], [8], [8], [8]], "at most 3 values"),
        ("filters.1", [[8], 8], "be a valid tuple"),
        ("filters.0", [[8, 8, 8]], "at most 2 values"),
        ("dense_units", 0, "above 0"),
        ("dense_units", 1.5, "a whole number"),
        ("dropout", 1, "below 1"),
        ("dropout", -0.1, "at least 0"),
        ("dropout", float("nan"), "finite number"),
        ("batch_norm", "perhaps", "true or false"),
        ("crop", 3, "at most 2"),
        ("augmentation", "flip", "'none', 'shift' or 'affine'"),
        ("label_smoothing", 1.0, "below 1"),
        ("optimizer", "lion", "'adam', 'sgd' or 'muon'"),
        ("learning_rate", 0, "above 0"),
        ("learning_rate", float("inf"), "finite number"),
        ("adam_factor", 0, "above 0"),
        ("schedule", None, "'constant', 'linear' or 'cosine'"),
        ("warmup", 1.0, "below 1"),
        ("epochs", 0, "above 0"),
        ("min_steps", -1, "at least 0"),
        ("batch_size", -64, "above 0"),
        ("precision", "float16", "'auto', 'float32' or 'bfloat16'"),
        ("seed", -1, "at least 0"),
        ("seed", 2**31, "at most 2147483647"),
    ],
)
def test_a_value_outside_its_rule_is_refused(option: str, value: Any, rule: str) -> None:
    name, _, index = option.partition(".")
    shown = repr(value[int(index)] if index else value)

    with pytest.raises(
        PipelineError, match=rf"^training\.{name} must .*{re.escape(rule)}.* but is {re.escape(shown)}\.$"
    ):
        TrainConfig().differing(**{name: value})


@pytest.mark.parametrize("name", ["momentum", "self", ""])
def test_an_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(PipelineError, match=r"^training.* must be an option of the plan but is none: "):
        TrainConfig().differing(**{name: 1})


def test_a_batch_larger_than_the_data_is_refused() -> None:
    TrainConfig(batch_size=64).check_images(64)
    with pytest.raises(
        PipelineError, match=r"training\.batch_size must be at most the 63 training images but is 64"
    ):
        TrainConfig(batch_size=64).check_images(63)


@pytest.mark.parametrize(
    ("epochs", "min_steps", "batch_size", "images", "milestones"),
    [
        (3, 0, 64, 48_000, [750, 1500, 2250]),
        (1.5, 280, 256, 48_000, [282]),
        (2.5, 0, 256, 48_000, [234, 469]),
        (0.25, 0, 100, 1_000, [3]),
        (1, 10, 10, 95, [10]),
        (1, 25, 10, 95, [12, 25]),
        (3, 0, 64, 100, [1, 3, 5]),
    ],
)
def test_the_model_is_scored_about_once_an_epoch_and_a_small_data_set_passed_over_more_often(
    epochs: float, min_steps: int, batch_size: int, images: int, milestones: list[int]
) -> None:
    config = TrainConfig(epochs=epochs, min_steps=min_steps, batch_size=batch_size)

    assert config.milestones(images) == milestones
    assert config.steps(images) == milestones[-1]


def test_the_digest_covers_every_option() -> None:
    changes = {
        "filters": ((32,), (64,)),
        "dense_units": 65,
        "dropout": 0.1,
        "batch_norm": True,
        "precise_batch_norm": True,
        "crop": 1,
        "views": 5,
        "augmentation": "shift",
        "label_smoothing": 0.1,
        "class_weights": True,
        "optimizer": "sgd",
        "learning_rate": 0.002,
        "adam_factor": 0.2,
        "schedule": "linear",
        "warmup": 0.1,
        "epochs": 21,
        "min_steps": 1,
        "batch_size": 65,
        "precision": "auto",
        "compiled_loop": True,
        "seed": 1,
    }
    config = TrainConfig()

    digests = {config.differing(**{name: value}).digest() for name, value in changes.items()}

    assert changes.keys() == TrainConfig.model_fields.keys()
    assert len(digests | {config.digest()}) == 1 + len(changes)


def test_a_configuration_survives_json() -> None:
    config = RECIPES["fast"].differing(filters=((8,), (16,)), dropout=0.1)

    again = TrainConfig.model_validate(json.loads(json.dumps(config.model_dump(mode="json"))))

    assert again == config
    assert again.digest() == config.digest()


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().epochs = 1
