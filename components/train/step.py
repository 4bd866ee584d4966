"""The `train` step: a training that is narrated and tracked."""

import itertools
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from components.common.data.dataset import read_info
from components.common.errors import PipelineError
from components.common.model.training_record import TRAINING_FILE, Epoch, Training, repeat_directory
from components.common.narration import say
from components.common.plan.placement import parse_gpu_count
from components.common.plan.training import configuration
from components.common.settings import settings
from components.common.tracking.run import StepRun, step_run
from components.train.devices import require_gpus
from components.train.fit import fit_model

MOST_LINES = 20
# Far from the seeds next to the first: the search chose the configuration by those.
SEED_STRIDE = 1000


def check_seeds(seeds: int) -> None:
    """Refuse to train no model at all."""
    if seeds < 1:
        raise PipelineError(f"seeds counts the trainings, so it must be at least 1 but got {seeds}.")


def narrator(step: str, run: StepRun, epochs: float, scorings: int) -> Callable[[Epoch], None]:
    """Return a callback that prints and tracks every scoring."""
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


def train_step(
    development: Path,
    pipeline_run_id: str,
    step: str,
    recipe: str,
    options: dict[str, Any],
    overrides: str,
    gpu_count: str,
    gpu_resource: str,  # noqa: ARG001
    target: Path,
    seeds: int = 1,
) -> Training:
    """Train, and tell the terminal and MLflow about it.

    The first of the `seeds` trainings is the model; the others lie below `target` in `repeats/`.
    """
    with step_run(pipeline_run_id, step) as run:
        check_seeds(seeds)
        config = configuration(recipe, options, overrides)
        repeats = [config.differing(seed=config.seed + SEED_STRIDE * number) for number in range(1, seeds)]
        require_gpus(parse_gpu_count(gpu_count))
        run.log_params(
            {f"config.{name}": value for name, value in config.model_dump(mode="json").items()}
            | {"config.recipe": recipe}
        )
        images = read_info(development).counts["train"]
        epochs = config.steps(images) * config.batch_size / images
        scorings = len(config.milestones(images))
        narrate = narrator(step, run, epochs, scorings)
        fit = partial(fit_model, development, recipe=recipe, checkpoints=checkpoint_directory())
        training = fit(config, target=target, on_epoch=narrate)
        run.log_dataset(training.dataset_name, training.dataset_digest, "preprocess", "training")
        run.log_metrics({"images_per_second": training.images_per_second, "seconds": training.seconds})
        run.set_tags({"weights_digest": training.weights_digest, "parameters": training.parameters})
        run.set_tags({f"compute.{name}": value for name, value in training.runtime.items()})
        run.log_file(target / TRAINING_FILE)
        for number, repeat in enumerate(repeats, start=2):
            say(step, f"training {number} of {seeds}, seed {repeat.seed}")
            narrate = narrator(step, StepRun.untracked(), epochs, scorings)
            again = fit(repeat, target=repeat_directory(target, repeat.seed), on_epoch=narrate)
            run.log_metrics({"repeat_val_accuracy": again.validation_accuracy}, number)
        return training
