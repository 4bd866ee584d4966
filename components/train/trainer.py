"""One training that can be advanced, scored, saved and taken up at any step."""

import math
import time
from typing import Any

import numpy as np

from components.common.data.dataset import Split
from components.common.errors import PipelineError
from components.common.model.training_record import Epoch
from components.common.plan.training import TrainConfig
from components.train.model import build_model
from components.train.optimizer import compile_model
from components.train.order import BatchOrder
from components.train.runtime import describe, gpus, shards_of, start_tensorflow, strategy
from components.train.steps import CHUNK_IMAGES, compiled_steps, keras_steps, scorer

# A paused training is told from others by more than such a score errs.
PREVIEW_IMAGES = 4096


class Trainer:
    """A training of `config`, deterministic for the same data, configuration and machine.

    Attributes:
        model: The model as it is after `step` steps of `steps`.
        milestones: The steps at which `score` is due, the last of them `steps`.
        history: What `score` found so far.

    Raises:
        PipelineError: A batch larger than the data.
    """

    def __init__(self, train: Split, validation: Split, config: TrainConfig) -> None:
        images = len(train.labels)
        if config.batch_size > images:
            raise PipelineError(
                f"batch_size cannot exceed the {images} training images but got {config.batch_size}."
            )
        shards = shards_of(config.batch_size) if config.compiled_loop else 1
        start_tensorflow(shards=shards)
        import keras
        import tensorflow as tf

        if gpus():
            tf.config.experimental.enable_op_determinism()
        self._config, self._validation = config, validation
        self.milestones = config.milestones(images)
        self.steps, self.step = self.milestones[-1], 0
        self.history: list[Epoch] = []
        self._loss = self._hits = self._seen = self._seconds = 0.0
        keras.utils.set_random_seed(config.seed)
        devices = strategy()
        if config.batch_size % devices.num_replicas_in_sync:
            raise PipelineError(
                f"batch_size must be a multiple of the {devices.num_replicas_in_sync} GPUs but got {config.batch_size}."
            )
        with devices.scope():
            self.model: keras.Model = build_model(config, for_training=True)
            self._landing = compile_model(self.model, config, self.steps)
            self.model.optimizer.build(self.model.trainable_variables)
        self.runtime = describe(shards)
        order = BatchOrder(train, config.batch_size, config.seed)
        self._train, self._epoch_images = train, images
        if config.compiled_loop:
            self._run = compiled_steps(self.model, order, config, devices)
        else:
            self._run = keras_steps(self.model, order, config)
        self._score = scorer(self.model, config)

    def advance(self, until: int) -> None:
        """Train up to that step, or a part of the way: at most one call of the loop, a second or so on two cores.

        Raises:
            PipelineError: The loss is no longer finite.
        """
        if self._config.compiled_loop:
            until = min(until, self.step + max(1, CHUNK_IMAGES // self._config.batch_size))
        started = time.perf_counter()
        loss, hits = self._run(self.step, until)
        if until == self.steps and self._config.precise_batch_norm:
            from components.train.normalization import PRECISE_IMAGES, set_precise_statistics

            set_precise_statistics(self.model, self._train.images[:PRECISE_IMAGES])
        self._seconds += time.perf_counter() - started
        self._require_finite(loss, until)
        self._loss, self._hits = self._loss + loss, self._hits + hits
        self._seen += (until - self.step) * self._config.batch_size
        self.step = until

    def score(self, count: int | None = None) -> Epoch:
        """Score the validation split, or its first `count` images, and note what was learned since the last time."""
        images, labels = self._validation.images[:count], self._validation.labels[:count]
        loss = hits = 0.0
        for begin in range(0, len(labels), CHUNK_IMAGES):
            part = self._score(images[begin : begin + CHUNK_IMAGES], labels[begin : begin + CHUNK_IMAGES])
            loss, hits = loss + part[0], hits + part[1]
        self._require_finite(loss, self.step)
        self.history.append(
            Epoch(
                epoch=self.step * self._config.batch_size / self._epoch_images,
                loss=self._loss / self._seen,
                accuracy=self._hits / self._seen,
                val_loss=loss / len(labels),
                val_accuracy=hits / len(labels),
                seconds=self._seconds,
            )
        )
        self._loss = self._hits = self._seen = self._seconds = 0.0
        return self.history[-1]

    def preview(self, steps: int) -> Epoch:
        """Score what the model would be if the learning rate fell to 0 over the next `steps`, and come back.

        In the middle of its schedule a model does worse than it could, and the more so the higher its learning rate:
        trainings of unequal rates are compared by their previews. `PREVIEW_IMAGES` of the validation split are scored.
        """
        arrays, progress = self.state()
        until = self.step + steps
        self._landing.assign([until, steps])
        while self.step < until:
            self.advance(until)
        epoch = self.score(PREVIEW_IMAGES)
        self._landing.assign([math.inf, 1.0])
        self.restore(arrays, progress)
        return epoch

    def state(self) -> tuple[list[Any], dict[str, Any]]:
        """Return all that `restore` needs to go on from here: the arrays, and the rest as JSON values."""
        progress = {
            "step": self.step,
            "history": [vars(epoch) for epoch in self.history],
            "sums": [self._loss, self._hits, self._seen, self._seconds],
        }
        return [variable.numpy() for variable in self._variables()], progress

    def restore(self, arrays: list[Any], progress: dict[str, Any]) -> None:
        """Go on where the training that gave this `state` stood."""
        for variable, array in zip(self._variables(), arrays, strict=True):
            variable.assign(array)
        self.step = progress["step"]
        self.history = [Epoch(**epoch) for epoch in progress["history"]]
        self._loss, self._hits, self._seen, self._seconds = progress["sums"]

    def _variables(self) -> list[Any]:
        # Not Keras's own weights file: it leaves out the random state of dropout.
        return [*self.model.variables, *self.model.optimizer.variables]

    def _require_finite(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise PipelineError(
                f"the loss must stay finite but was {np.float32(loss)} before step {step} of {self.steps}: "
                f"lower learning_rate ({self._config.learning_rate:g})."
            )
