"""The training loop: one Keras `fit` per epoch, so that it can be watched, stopped and taken up at any epoch."""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from components.common.dataset import Split
from components.common.errors import PipelineError
from components.common.trained_model import Epoch
from components.train.batches import evaluation_batches, training_batches
from components.train.checkpoint import Checkpoint
from components.train.config import TrainConfig
from components.train.model import build_model
from components.train.optimizer import compile_model

if TYPE_CHECKING:
    import keras


OnEpoch = Callable[[Epoch], None]


def fit(
    train: Split,
    validation: Split,
    config: TrainConfig,
    on_epoch: OnEpoch,
    checkpoint: Checkpoint | None = None,
) -> "tuple[keras.Model, list[Epoch]]":
    """Train a new model, deterministically for the same data, configuration and machine.

    Args:
        train: The split to learn from.
        validation: The split that is scored after every epoch, and never learned from.
        config: What to train.
        on_epoch: Called after every epoch; what it raises ends the training.
        checkpoint: Where to save after every epoch, and to take an interrupted training up from.

    Returns:
        The model after its last epoch, and the figures of every epoch.

    Raises:
        PipelineError: A batch larger than the data, or a loss that is no longer finite.
    """
    import keras

    if config.batch_size > len(train.labels):
        raise PipelineError(
            f"batch_size cannot exceed the {len(train.labels)} training images but got {config.batch_size}."
        )
    keras.utils.set_random_seed(config.seed)
    model = build_model(config)
    epochs = config.epochs_on(len(train.labels))
    compile_model(model, config, steps=epochs * config.steps_per_epoch(len(train.labels)))
    history = checkpoint.restore(model) if checkpoint else []
    for number in range(len(history), epochs):
        history.append(_one_epoch(model, train, validation, config, number))
        if checkpoint:
            checkpoint.save(model, history)
        on_epoch(history[-1])
    return model, history


def _one_epoch(
    model: "keras.Model", train: Split, validation: Split, config: TrainConfig, number: int
) -> Epoch:
    started = time.perf_counter()
    figures = model.fit(training_batches(train, config, number), shuffle=False, verbose=0).history
    seconds = time.perf_counter() - started
    val_loss, val_accuracy = model.evaluate(evaluation_batches(validation), verbose=0)
    loss = figures["loss"][0]
    if not math.isfinite(loss) or not math.isfinite(val_loss):
        raise PipelineError(
            f"the loss must stay finite but was {loss} in epoch {number + 1}: "
            f"lower learning_rate ({config.learning_rate:g})."
        )
    return Epoch(number + 1, loss, figures["accuracy"][0], val_loss, val_accuracy, seconds)
