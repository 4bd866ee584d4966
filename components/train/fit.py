"""The training loop: it can be watched, stopped and taken up."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from components.common.data.dataset import Split
from components.common.model.training_record import Epoch
from components.common.plan.training import TrainConfig
from components.train.checkpoint import Checkpoint
from components.train.trainer import Trainer

if TYPE_CHECKING:
    import keras

OnEpoch = Callable[[Epoch], None]
CHECKPOINT_SECONDS = 30.0
TERMINATED = 128 + signal.SIGTERM


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
        validation: The split that is scored after about every epoch, and never learned from.
        config: What to train.
        on_epoch: Called after every scoring; what it raises ends the training.
        checkpoint: Where to save every `CHECKPOINT_SECONDS` seconds (an environment variable changes them) and on
            SIGTERM, and to take an interrupted training up from.

    Returns:
        The model after its last step, and the figures of every scoring.

    Raises:
        PipelineError: A batch larger than the data, or a loss that is no longer finite.
        SystemExit: SIGTERM came; the checkpoint is saved.
    """
    trainer = Trainer(train, validation, config)
    run(trainer, on_epoch, checkpoint)
    return trainer.model, trainer.history


def run(trainer: Trainer, on_epoch: OnEpoch, checkpoint: Checkpoint | None = None) -> None:
    """Bring a new trainer to its end; see `fit`."""
    if checkpoint:
        checkpoint.restore(trainer)
    interval = float(os.environ.get("CHECKPOINT_SECONDS", CHECKPOINT_SECONDS))
    saved = time.monotonic()
    with _terminated() as terminated:
        while len(trainer.history) < len(trainer.milestones):
            milestone = trainer.milestones[len(trainer.history)]
            if trainer.step < milestone:
                trainer.advance(milestone)
            if trainer.step == milestone:
                on_epoch(trainer.score())
            if checkpoint and (terminated.is_set() or time.monotonic() - saved >= interval):
                checkpoint.save(trainer)
                saved = time.monotonic()
            if terminated.is_set():
                raise SystemExit(TERMINATED)


@contextmanager
def _terminated() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets, in place of what the signal did before."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, previous)
