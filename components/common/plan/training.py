"""Options of a training: architecture, regularization, optimizer and schedule as one frozen value."""

import hashlib
import math
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from components.common.errors import PipelineError
from components.common.plan.section import WHOLE, Section, broken_rule

# Far above what can be trained; `components.common.plan.network` bounds the memory of a step.
LARGEST, MOST_EPOCHS, MOST_STEPS, LARGEST_RATE = 2**24, 100_000, 2**31 - 1, 1e12
Positive = Annotated[int, Field(gt=0, le=LARGEST), WHOLE]
# Lists will do: JSON has no tuples.
Block = Annotated[tuple[Positive, ...], Field(min_length=1, max_length=2, strict=False)]
Rate = Annotated[float, Field(gt=0, le=LARGEST_RATE, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


class TrainConfig(Section):
    """A training's options; the defaults are the tutorial's."""

    filters: Annotated[tuple[Block, ...], Field(min_length=1, max_length=3, strict=False)] = Field(
        default=((32,), (64,), (64,)),
        description="Filters of each 3x3 convolution, block by block; 2x2 max pooling stands between the blocks. "
        "Large images get further blocks like the last, and the mean of each last map.",
    )
    dense_units: Positive = Field(default=64, description="Units of the hidden dense layer.")
    dropout: Fraction = Field(default=0.0, description="Rate of the dropout before the output layer.")
    batch_norm: bool = Field(default=False, description="Batch normalization before each activation.")
    precise_batch_norm: bool = Field(
        default=False,
        description="After the last step, take the means and variances of batch normalization anew over thousands of "
        "images as they are, in place of moving averages over a few distorted batches.",
    )
    crop: Annotated[int, Field(ge=0, le=2), WHOLE] = Field(
        default=0,
        description="Pixels cut from each side of an image of MNIST's size before the first convolution; "
        "more or fewer in proportion to the size of others.",
    )
    views: Annotated[Literal[1, 5], WHOLE] = Field(
        default=1,
        description="With 5 the finished model averages the logits of the image and of its copies moved by a pixel, in "
        "large images more, to each side (test-time augmentation). Training and its scoring use one view.",
    )
    augmentation: Literal["none", "shift", "affine"] = Field(
        default="none",
        description='"shift" moves each image by up to one pixel, large ones by more; "affine" rotates, zooms, shears '
        'and shifts each image a little; "none" leaves the images as they are.',
    )
    label_smoothing: Fraction = Field(
        default=0.0, description="Probability mass spread over all classes in the training targets."
    )
    class_weights: bool = Field(
        default=False,
        description="Weight each image in the loss by the inverse share of its class in the training split, for data "
        "in which some classes are rare. The mean weight is 1.",
    )
    optimizer: Literal["adam", "sgd", "muon"] = Field(
        default="adam", description="Adam, SGD with Nesterov momentum 0.9, or Muon."
    )
    learning_rate: Rate = Field(default=0.001, description="Peak learning rate.")
    adam_factor: Rate = Field(
        default=0.15,
        description="With Muon, the learning rate of what Adam updates, as a multiple of `learning_rate`.",
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        default="constant",
        description='Multiplies the learning rate over the steps of the training; "linear" and "cosine" end at 0.',
    )
    warmup: Fraction = Field(
        default=0.0, description="Fraction of all steps in which the learning rate rises linearly from 0."
    )
    epochs: Annotated[float, Field(gt=0, le=MOST_EPOCHS, allow_inf_nan=False)] = Field(
        default=20, description="Passes over the training split, also in fractions."
    )
    min_steps: Annotated[int, Field(ge=0, le=MOST_STEPS), WHOLE] = Field(
        default=0,
        description="Least number of steps: a small data set is passed over more often. Epochs that are set lift it.",
    )
    batch_size: Positive = Field(default=64, description="Images a step.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="float32",
        description='"auto" computes in bfloat16 where the processor or GPU has it, else in float32.',
    )
    compiled_loop: bool = Field(
        default=False,
        description="Run many steps in one compiled function, each batch split over the cores; without it Keras's "
        "`fit` on TensorFlow's default threads, as in the tutorial.",
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] = Field(
        default=0, description="Seeds initialization, shuffling, dropout, augmentation and the search."
    )

    def differing(self, /, **changes: Any) -> "TrainConfig":
        """Return a copy with `changes`, validated.

        Raises:
            PipelineError: An unknown name, or a value outside its rule.
        """
        try:
            return TrainConfig.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            raise PipelineError(broken_rule(error, "training")) from None

    def steps(self, images: int) -> int:
        """Return the steps of the whole training on a split of that many images."""
        return max(math.ceil(self.epochs * images / self.batch_size), self.min_steps)

    def milestones(self, images: int) -> list[int]:
        """Return the steps after which the model is scored: equal parts, each of about one epoch, or all at once."""
        steps = self.steps(images)
        parts = max(1, steps * self.batch_size // images)
        return [steps * part // parts for part in range(1, parts + 1)]

    def check_images(self, images: int) -> None:
        """Refuse a batch that is larger than the training split.

        Raises:
            PipelineError: It is.
        """
        if self.batch_size > images:
            raise PipelineError(
                f"training.batch_size must be at most the {images} training images but is {self.batch_size}: "
                "lower it, or use more data."
            )

    def digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


# From one further training to the next: far from the seeds beside the first, by which the search chooses.
SEED_STRIDE = 1000

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
        epochs=1.2,
        min_steps=180,
        batch_size=320,
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
