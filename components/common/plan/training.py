"""What a training is: architecture, regularization, optimizer and schedule as one frozen value."""

import hashlib
import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.common.errors import PipelineError

Positive = Annotated[int, Field(gt=0)]
Block = Annotated[tuple[Positive, ...], Field(min_length=1, max_length=2)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class TrainConfig(BaseModel):
    """A training's configuration; the defaults are the tutorial's.

    Attributes:
        filters: Filters of each 3x3 convolution, block by block; 2x2 max pooling stands between the blocks.
        dense_units: Units of the hidden dense layer.
        dropout: Rate of the dropout before the output layer.
        batch_norm: Batch normalization before each activation.
        precise_batch_norm: After the last step, its means and variances are taken anew over thousands of images as
            they are, in place of moving averages over a few distorted batches.
        crop: Pixels cut from each side of the image before the first convolution.
        views: With 5 the finished model averages the logits of the image and of its copies moved by a pixel to each
            side (test-time augmentation). It is trained, and scored in its training, on one view.
        augmentation: "shift" moves each image by up to one pixel, "affine" rotates, zooms, shears and shifts each
            image a little, "none" leaves the images as they are.
        label_smoothing: Probability mass spread over all classes in the training targets.
        optimizer: Adam, SGD with Nesterov momentum 0.9, or Muon (`muon.py`).
        learning_rate: Peak learning rate.
        adam_factor: With Muon, the learning rate of what Adam updates, as a multiple of `learning_rate`.
        schedule: Multiplies the learning rate over the steps of the whole training; "linear" and "cosine" end at 0.
        warmup: Fraction of all steps in which the learning rate rises linearly from 0.
        epochs: Passes over the training split, also in fractions.
        min_steps: Steps that the training takes at least: a small data set is passed over more often.
        batch_size: Images a step.
        precision: "auto" computes in bfloat16 where the processor or GPU has it, else in float32.
        compiled_loop: Many steps in one compiled function, each batch split over the cores; without it Keras's `fit`
            on TensorFlow's default threads, as in the tutorial.
        seed: Seeds initialization, shuffling, dropout and augmentation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    filters: tuple[Block, ...] = Field(default=((32,), (64,), (64,)), min_length=1, max_length=3)
    dense_units: Positive = 64
    dropout: Fraction = 0.0
    batch_norm: bool = False
    precise_batch_norm: bool = False
    crop: Annotated[int, Field(ge=0, le=2)] = 0
    views: Literal[1, 5] = 1
    augmentation: Literal["none", "shift", "affine"] = "none"
    label_smoothing: Fraction = 0.0
    optimizer: Literal["adam", "sgd", "muon"] = "adam"
    learning_rate: Rate = 0.001
    adam_factor: Rate = 0.15
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: Fraction = 0.0
    epochs: Rate = 20
    min_steps: Annotated[int, Field(ge=0)] = 0
    batch_size: Positive = 64
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    compiled_loop: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    def differing(self, /, **changes: Any) -> "TrainConfig":
        """Return a copy with `changes`, validated.

        Raises:
            PipelineError: An unknown name, or a value outside its rule.
        """
        try:
            return TrainConfig.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            raise PipelineError(_explain(error)) from None

    def steps(self, images: int) -> int:
        """Return the steps of the whole training on a split of that many images."""
        return max(math.ceil(self.epochs * images / self.batch_size), self.min_steps)

    def milestones(self, images: int) -> list[int]:
        """Return the steps after which the model is scored: equal parts, each of about one epoch, or all at once."""
        steps = self.steps(images)
        parts = max(1, steps * self.batch_size // images)
        return [steps * part // parts for part in range(1, parts + 1)]

    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{name!r} is no training option: choose from {', '.join(TrainConfig.model_fields)}."
    return f"training option {name}: {first['msg'].lower()} but got {first['input']!r}."


# The accuracy that the tutorial reports for its model, which the recipe "seed" trains.
TUTORIAL_ACCURACY = 0.9926

RECIPES = {
    # The tutorial, unchanged.
    "seed": TrainConfig(),
    # The tutorial's quality in the least time.
    "fast": TrainConfig(
        filters=((16,), (48,), (64,)),
        batch_norm=True,
        crop=1,
        augmentation="shift",
        label_smoothing=0.1,
        optimizer="muon",
        learning_rate=0.1,
        adam_factor=0.14,
        schedule="linear",
        warmup=0.1,
        epochs=1.4,
        min_steps=230,
        batch_size=256,
        precision="auto",
        compiled_loop=True,
    ),
    # The best single model in minutes.
    "best": TrainConfig(
        filters=((32, 32), (64, 64)),
        dense_units=128,
        batch_norm=True,
        precise_batch_norm=True,
        dropout=0.1,
        crop=1,
        views=5,
        augmentation="affine",
        label_smoothing=0.1,
        optimizer="muon",
        learning_rate=0.06,
        adam_factor=0.15,
        schedule="linear",
        warmup=0.1,
        epochs=13,
        min_steps=600,
        batch_size=128,
        precision="auto",
        compiled_loop=True,
    ),
}


def configuration(recipe: str, options: dict[str, Any], overrides: str) -> TrainConfig:
    """Combine the recipe, the options that are not 0, and a JSON object of further differences.

    Epochs that are given are exact: they lift the recipe's least number of steps.

    Raises:
        PipelineError: An unknown recipe or option, or a value outside its rule.
    """
    try:
        further = json.loads(overrides)
    except json.JSONDecodeError as error:
        raise PipelineError(f"overrides must be a JSON object but got {overrides!r}: {error}.") from None
    if not isinstance(further, dict):
        raise PipelineError(f'overrides must be a JSON object like {{"dropout": 0.1}} but got {overrides!r}.')
    given = {name: value for name, value in options.items() if value != 0} | further
    if recipe not in RECIPES:
        raise PipelineError(f"recipe must be one of {', '.join(RECIPES)} but got {recipe!r}.")
    if "epochs" in given:
        given.setdefault("min_steps", 0)
    return RECIPES[recipe].differing(**given)
