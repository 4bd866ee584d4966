"""Optimizer and learning-rate schedule."""

import math
from typing import TYPE_CHECKING, Any

from components.common.plan.training import TrainConfig

if TYPE_CHECKING:
    import keras


def compile_model(model: "keras.Model", config: TrainConfig, steps: int) -> "keras.Variable":
    """Attach loss, metric and optimizer for a training of `steps` steps in all.

    Returns:
        A variable of two numbers (step, steps) that brings the learning rate down to 0 before its time, if it is
        assigned: at that step, over so many steps before it.
    """
    import keras

    schedule = _schedule(config, steps)
    model.compile(
        optimizer=_optimizer(config, schedule),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=["accuracy"],
    )
    return schedule.landing


def _optimizer(config: TrainConfig, learning_rate: Any) -> "keras.Optimizer":
    import keras

    if config.optimizer == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True)
    if config.optimizer == "muon":
        from components.train.muon import Muon

        return Muon(learning_rate, adam_factor=config.adam_factor)
    return keras.optimizers.Adam(learning_rate)


def _schedule(config: TrainConfig, steps: int) -> Any:
    import keras
    from keras import ops

    warmup_steps = config.warmup * steps

    class Schedule(keras.optimizers.schedules.LearningRateSchedule):
        """A linear rise over the warm-up, then the named decay over the rest."""

        def __init__(self) -> None:
            self.landing = keras.Variable([math.inf, 1.0], trainable=False, dtype="float32")

        def __call__(self, step: Any) -> Any:
            step = ops.cast(step, "float32")
            rise = ops.minimum(1.0, (step + 1) / max(1.0, warmup_steps))
            done = ops.clip((step - warmup_steps) / max(1.0, steps - warmup_steps), 0.0, 1.0)
            decay = {
                "constant": ops.ones_like(done),
                "linear": 1 - done,
                "cosine": (1 + ops.cos(math.pi * done)) / 2,
            }[config.schedule]
            landing = ops.clip((self.landing[0] - step) / self.landing[1], 0.0, 1.0)
            return config.learning_rate * rise * decay * landing

    return Schedule()
