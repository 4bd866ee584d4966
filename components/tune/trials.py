"""The work of one tuning worker: many trials in one process, on data that is opened once."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.dataset import Split, open_split
from components.common.errors import PipelineError
from components.common.step import say
from components.common.tracking import TrackedRun
from components.common.trained_model import Epoch
from components.train.config import TrainConfig
from components.train.fit import fit
from components.tune.space import SEARCH_SPACE, distributions, suggest

if TYPE_CHECKING:
    import optuna


def run_trials(
    study: "optuna.Study", development: Path, baseline: TrainConfig, count: int, run: TrackedRun
) -> None:
    """Run `count` trials: train what the sampler suggests, until the last epoch or until the pruner says stop.

    A trial that diverges is recorded as failed, and the search goes on.

    Args:
        study: Maximizes the validation accuracy.
        development: Directory with the training and validation splits.
        baseline: Gives every option that the search space does not vary.
        count: Trials of this worker.
        run: Gets a nested run for every trial.
    """
    splits = open_split(development, "train"), open_split(development, "validation")
    space = distributions(SEARCH_SPACE, baseline)

    def objective(trial: "optuna.Trial") -> float:
        chosen = suggest(trial, space)
        trial_run = run.child(f"trial {trial.number}", {"step": "trial"})
        trial_run.log_params({f"config.{name}": value for name, value in chosen.items()})
        return _run_trial(trial, splits, baseline.differing(**chosen), trial_run)

    study.optimize(objective, n_trials=count, catch=(PipelineError,), callbacks=[_announce])


def _run_trial(
    trial: "optuna.Trial", splits: tuple[Split, Split], config: TrainConfig, run: TrackedRun
) -> float:
    import keras
    from optuna import TrialPruned

    keras.backend.clear_session()
    outcome = "failed"
    try:
        _, history = fit(*splits, config, _reporter(trial, run))
        outcome = "complete"
    except TrialPruned:
        outcome = "pruned"
        raise
    finally:
        run.set_tags({"outcome": outcome})
        run.close("FAILED" if outcome == "failed" else "FINISHED")
    return history[-1].val_accuracy


def _reporter(trial: "optuna.Trial", run: TrackedRun) -> Callable[[Epoch], None]:
    from optuna import TrialPruned

    def on_epoch(epoch: Epoch) -> None:
        run.log_metrics({"val_accuracy": epoch.val_accuracy, "val_loss": epoch.val_loss}, epoch.epoch)
        trial.report(epoch.val_accuracy, epoch.epoch)
        if trial.should_prune():
            raise TrialPruned

    return on_epoch


def _announce(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
    reached = max(trial.intermediate_values.values(), default=float("nan"))
    say(
        "tune",
        f"trial {trial.number} {trial.state.name.lower()} after epoch {trial.last_step or 0}  "
        f"validation {reached:.4f}  best {study.best_value:.4f} (trial {study.best_trial.number})",
    )
