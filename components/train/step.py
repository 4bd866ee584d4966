"""The `train` step, with progress on the terminal and in MLflow."""

import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path

from components.common.data.info import DatasetInfo
from components.common.model.training_record import Epoch, Training
from components.common.narration import say
from components.common.plan.run import RunPlan
from components.common.plan.training import TrainConfig
from components.common.settings import settings
from components.common.tracking.run import StepRun
from components.common.tracking.step import step_run
from components.train.devices import require_gpus
from components.train.fit import fit_model

STEP = "train"
MOST_LINES = 20


def narrator(step: str, run: StepRun, config: TrainConfig, development: Path) -> Callable[[Epoch], None]:
    """Return a callback that prints and tracks every scoring of a training of `config` on `development`."""
    images = DatasetInfo.load(development).counts["train"]
    epochs = config.steps(images) * config.batch_size / images
    scorings = len(config.milestones(images))
    started = time.monotonic()
    numbers = itertools.count(1)

    def on_epoch(epoch: Epoch) -> None:
        left = (time.monotonic() - started) / epoch.epoch * (epochs - epoch.epoch)
        number = next(numbers)
        if number % math.ceil(scorings / MOST_LINES) == 0 or number == scorings:
            say(
                step,
                f"epoch {epoch.epoch:.4g}/{epochs:.4g}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.4f}  "
                f"validation {epoch.val_accuracy:.4f}  {left:.0f} s left",
            )
        figures = {"loss": epoch.loss, "accuracy": epoch.accuracy}
        figures |= {"val_loss": epoch.val_loss, "val_accuracy": epoch.val_accuracy}
        run.log_metrics(figures, number)

    return on_epoch


def checkpoint_directory() -> str | None:
    """Return the directory or s3:// prefix in `CHECKPOINT_DIR`; without it an interrupted training begins anew."""
    return (settings().checkpoint_dir or "").rstrip("/") or None


def train_step(plan: RunPlan, development: Path, target: Path) -> Training:
    """Train the baseline, with progress on the terminal and in MLflow.

    Args:
        plan: The plan of the run.
        development: Directory with the training and the validation split.
        target: Directory for the model.
    """
    with step_run(plan.run_id, STEP) as run:
        config = plan.training
        require_gpus(plan.gpu_count)
        run.log_params(
            {f"config.{name}": value for name, value in config.model_dump(mode="json").items()}
            | {"config.recipe": plan.recipe}
        )
        training = fit_model(
            development,
            config,
            recipe=plan.recipe,
            target=target,
            on_epoch=narrator(STEP, run, config, development),
            checkpoints=checkpoint_directory(),
        )
        run.log_dataset(training.dataset.name, training.dataset.digest, "preprocess", "training")
        run.log_metrics({"images_per_second": training.images_per_second, "seconds": training.seconds})
        run.set_tags({"weights_digest": training.weights_digest, "parameters": training.parameters})
        run.set_tags({f"compute.{name}": value for name, value in training.runtime.items()})
        run.log_file(target / Training.FILE)
        return training
