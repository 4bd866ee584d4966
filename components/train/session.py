"""Training session: a training that can be advanced, scored, saved and resumed at any step."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.model.training_record import Epoch
from components.common.plan.network import check_network
from components.common.plan.training import TrainConfig
from components.train.autosave import Autosave
from components.train.devices import (
    SMALLEST_SHARD,
    describe,
    shards_of,
    strategy,
    training_shards,
    visible_gpus,
)
from components.train.order import BatchOrder
from components.train.runtime import start_tensorflow

if TYPE_CHECKING:
    from components.train.loop import Loop

# Images of MNIST's size that one call of the loop takes at most: about a second on two cores.
CHUNK_IMAGES = 8192
# The same for one call of the scoring, which holds the maps of all its images at once.
SCORED_IMAGES = 2048
# The same for statistics of batch normalization; a batch has at least the images that a shard of a training has.
PRECISE_BATCH = 1024
# Enough images to rank paused trainings: their true scores differ by more than the error of such a score.
PREVIEW_IMAGES = 4096

OnEpoch = Callable[[Epoch], None]


class DivergedError(PipelineError):
    """A loss that is no longer finite: an outcome of the configuration."""


class Progress(BaseModel):
    """What a state holds besides its arrays; reading refuses everything else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: NonNegativeInt
    runtime: dict[str, str]
    history: list[Epoch]
    sums: tuple[float, float, float, float]


class Session:
    """A training of `config`, deterministic for the same data, configuration and machine.

    Attributes:
        model: The model after `step` of `steps` steps.
        milestones: Steps at which the model is to be scored; the last one is `steps`.
        history: Scorings so far.
        runtime: Facts about the machine that decide the bits of the weights; a session that is restored keeps those of
            the machine that began.

    Args:
        train: Split to learn from.
        validation: Split to score on.
        config: Options of the training.

    Raises:
        PipelineError: The batch is larger than the training split, or cannot be divided among the GPUs; or the
            configuration does not fit the images.
    """

    def __init__(self, train: Split, validation: Split, config: TrainConfig) -> None:
        images = len(train.labels)
        config.check_images(images)
        check_network(config, train.spec)
        self._config, self._train, self._validation = config, train, validation
        self._chunk = _images_within(CHUNK_IMAGES, train.spec)
        self.milestones = config.milestones(images)
        self.steps, self.step = self.milestones[-1], 0
        self.history: list[Epoch] = []
        self._loss = self._hits = self._seen = self._seconds = 0.0
        self._build(training_shards(config))

    def _build(self, shards: int) -> None:
        """Start TensorFlow, and only then import the modules that need it."""
        start_tensorflow(shards=shards)
        import keras
        import tensorflow as tf

        from components.train.loop import CompiledLoop, KerasLoop
        from components.train.model import build_model
        from components.train.optimizer import compile_model
        from components.train.scoring import Scorer

        config = self._config
        if visible_gpus():
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(config.seed)
        devices = strategy()
        if config.batch_size % devices.num_replicas_in_sync:
            raise PipelineError(
                f"training.batch_size must be a multiple of {devices.num_replicas_in_sync}, the number of GPUs, "
                f"but is {config.batch_size}: change it or gpu_count."
            )
        with devices.scope():
            self.model: keras.Model = build_model(config, self._train.spec, for_training=True)
            self._landing = compile_model(self.model, config, self.steps)
            self.model.optimizer.build(self.model.trainable_variables)
        self.runtime = describe(shards)
        order = BatchOrder(self._train, config.batch_size, config.seed)
        self._loop: Loop = (
            CompiledLoop(self.model, order, config, devices)
            if config.compiled_loop
            else KerasLoop(self.model, order, config)
        )
        on_processor = config.compiled_loop and not visible_gpus()
        self._scorer = Scorer(self.model, self._train.spec, shards_of(SCORED_IMAGES) if on_processor else 1)

    def run(self, on_epoch: OnEpoch, autosave: Autosave | None = None, until: int | None = None) -> None:
        """Train to the end, and score at each milestone.

        Args:
            on_epoch: Called after every scoring. An exception that it raises ends the training.
            autosave: Saves the session on the way.
            until: The step to stop at before the end.

        Raises:
            DivergedError: The loss is no longer finite.
            SystemExit: SIGTERM arrived.
        """
        for milestone in self.milestones[len(self.history) :]:
            self.run_until(milestone if until is None else min(until, milestone), autosave)
            if self.step < milestone:
                return
            on_epoch(self.score())
            if autosave:
                autosave.check(self)

    def run_until(self, step: int, autosave: Autosave | None = None) -> None:
        """Train up to a step.

        Args:
            step: The step to stop at; nothing is done where the session is past it.
            autosave: Saves the session on the way; at `step` the caller saves it, if it is to be saved.

        Raises:
            DivergedError: The loss is no longer finite.
            SystemExit: SIGTERM arrived.
        """
        while self.step < step:
            self._run_chunk(step)
            if autosave and self.step < step:
                autosave.check(self)

    def _run_chunk(self, step: int) -> None:
        """Train up to that step or the next milestone; the compiled loop stops after a chunk at the latest."""
        ends = [step, *(milestone for milestone in self.milestones if milestone > self.step)]
        if self._config.compiled_loop:
            ends.append(self.step + max(1, self._chunk // self._config.batch_size))
        until = min(ends)
        started = time.perf_counter()
        loss, hits = self._loop.run(self.step, until)
        if until == self.steps and self._config.precise_batch_norm:
            from components.train.normalization import PRECISE_IMAGES, set_precise_statistics

            least = min(SMALLEST_SHARD, self._config.batch_size)
            batch = max(least, _images_within(PRECISE_BATCH, self._train.spec))
            set_precise_statistics(self.model, self._train.images[:PRECISE_IMAGES], batch)
        self._seconds += time.perf_counter() - started
        self._require_finite(loss, until)
        self._loss, self._hits = self._loss + loss, self._hits + hits
        self._seen += (until - self.step) * self._config.batch_size
        self.step = until

    def score(self, count: int | None = None) -> Epoch:
        """Score the model, and add the result to `history`.

        Args:
            count: Images of the validation split to score, from its beginning; all by default.

        Returns:
            The scores, with the training loss and accuracy since the last scoring.

        Raises:
            DivergedError: The loss is no longer finite.
        """
        images, labels = self._validation.images[:count], self._validation.labels[:count]
        loss = hits = 0.0
        size = _images_within(SCORED_IMAGES, self._train.spec)
        for begin in range(0, len(labels), size):
            part = slice(begin, begin + size)
            more = self._scorer.sums(images[part], labels[part])
            loss, hits = loss + more[0], hits + more[1]
        self._require_finite(loss, self.step)
        self.history.append(
            Epoch(
                epoch=self.step * self._config.batch_size / len(self._train.labels),
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
        """Score the model as it would be if the learning rate fell to 0 over the next steps; then restore the session.

        In the middle of its schedule a model scores below what it can reach, and more so at a high learning rate.
        Previews compare trainings of unequal learning rates. They score `PREVIEW_IMAGES` of the validation split.

        Args:
            steps: Steps over which the learning rate falls to 0.
        """
        arrays, progress = self.state()
        until = self.step + steps
        self._landing.assign([until, steps])
        self.run_until(until)
        epoch = self.score(PREVIEW_IMAGES)
        self._landing.assign([math.inf, 1.0])
        self.restore(arrays, progress)
        return epoch

    def state(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the arrays and the JSON values that `restore` needs to go on from here."""
        progress = {
            "step": self.step,
            "runtime": self.runtime,
            "history": [asdict(epoch) for epoch in self.history],
            "sums": [self._loss, self._hits, self._seen, self._seconds],
        }
        return [variable.numpy() for variable in self._variables()], progress

    def restore(self, arrays: list[Any], progress: Any) -> None:
        """Go on from a `state` of a session of the same data and configuration.

        Raises:
            ValueError: It is none, and the session is as it was.
        """
        known, variables = Progress.model_validate(progress), self._variables()
        if not known.step <= self.steps or len(known.history) > len(self.milestones):
            raise ValueError(f"step {known.step} of {self.steps}")
        for variable, array in zip(variables, arrays, strict=True):
            if (tuple(variable.shape), str(variable.dtype)) != (array.shape, str(array.dtype)):
                raise ValueError(f"{variable.path} is {array.shape} {array.dtype}")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        self.step, self.runtime, self.history = known.step, known.runtime, known.history
        self._loss, self._hits, self._seen, self._seconds = known.sums

    def _variables(self) -> list[Any]:
        # Keras's weights file would not do: it leaves out the random state of dropout.
        return [*self.model.variables, *self.model.optimizer.variables]

    def _require_finite(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss must stay finite but was {np.float32(loss)} before step {step} of {self.steps}: "
                f"lower learning_rate ({self._config.learning_rate:g})."
            )


def _images_within(count: int, spec: ImageSpec) -> int:
    """Return how many images, at most `count` and at least 1, have the pixels of that many images of MNIST."""
    return max(1, min(count, count * MNIST_SPEC.pixels // spec.pixels))
