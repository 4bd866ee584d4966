"""Optimizer and learning-rate schedule."""

import math
from typing import Any

import keras
from keras import ops

from components.common.plan.training import TrainConfig
from components.train.muon import Muon


def compile_model(model: keras.Model, config: TrainConfig, steps: int) -> keras.Variable:
    """Attach loss, metric and optimizer to the model.

    Args:
        model: The model to train.
        config: Options of the training.
        steps: Steps of the whole training.

    Returns:
        The schedule's `landing`.
    """
    schedule = Schedule(config, steps)
    model.compile(
        optimizer=_optimizer(config, schedule),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=["accuracy"],
    )
    return schedule.landing


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise over the warm-up, then the decay that the configuration names over the rest.

    Args:
        config: Options of the training.
        steps: Steps of the whole training.

    Attributes:
        landing: Variable of two numbers, a step and a number of steps. When it is assigned, the learning rate falls to
            0 at that step, over that number of steps before it.
    """

    def __init__(self, config: TrainConfig, steps: int) -> None:
        self._config, self._steps = config, steps
        self.landing = keras.Variable([math.inf, 1.0], trainable=False, dtype="float32")

    def __call__(self, step: Any) -> Any:
        """Return the learning rate at a step, counted from 0."""
        step = ops.cast(step, "float32")
        warmup_steps = self._config.warmup * self._steps
        rise = ops.minimum(1.0, (step + 1) / max(1.0, warmup_steps))
        done = ops.clip((step - warmup_steps) / max(1.0, self._steps - warmup_steps), 0.0, 1.0)
        decay = {
            "constant": ops.ones_like(done),
            "linear": 1 - done,
            "cosine": (1 + ops.cos(math.pi * done)) / 2,
        }[self._config.schedule]
        landing = ops.clip((self.landing[0] - step) / self.landing[1], 0.0, 1.0)
        return self._config.learning_rate * rise * decay * landing


def _optimizer(config: TrainConfig, learning_rate: Schedule) -> keras.Optimizer:
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True)
    if config.optimizer == "muon":
        return Muon(learning_rate, adam_factor=config.adam_factor)
    return keras.optimizers.Adam(learning_rate)
