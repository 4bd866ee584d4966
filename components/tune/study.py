"""The Optuna study that all tuning workers of a run share."""

import os
from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from components.common.trained_model import Training
from components.tune.space import SEARCH_SPACE, distributions

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

HEARTBEAT_SECONDS = 60
BASELINE = "baseline"


def storage() -> "BaseStorage":
    """Open the storage that `OPTUNA_STORAGE` names: a database URL, or the path of a journal file.

    Raises:
        PipelineError: Nothing is named, or it cannot be opened.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    where = os.environ.get("OPTUNA_STORAGE", "")
    if not where:
        raise PipelineError(
            "OPTUNA_STORAGE must name the study's storage but is not set: "
            "give a postgresql:// URL that all workers reach, or a journal file's path for workers on one machine."
        )
    try:
        if "://" in where:
            return RDBStorage(where, heartbeat_interval=HEARTBEAT_SECONDS)
        return JournalStorage(JournalFileBackend(where))
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise PipelineError(
            f"OPTUNA_STORAGE must be a storage that opens but {where.split('@')[-1]!r} does not: {reason}"
        ) from error


def create_study(name: str, baseline: Training) -> "optuna.Study":
    """Create the study with the baseline's finished training as its first trial.

    The result can therefore never be worse on validation than the baseline. A study that a retried task finds in
    place is left as it is.
    """
    import optuna
    from optuna.trial import create_trial

    from components.train.config import TrainConfig

    study = optuna.create_study(storage=storage(), study_name=name, direction="maximize", load_if_exists=True)
    if not study.trials:
        space = distributions(SEARCH_SPACE, TrainConfig.model_validate(baseline.config))
        study.add_trial(
            create_trial(
                params={option: baseline.config[option] for option in space},
                distributions=space,
                value=baseline.validation_accuracy,
                intermediate_values={epoch.epoch: epoch.val_accuracy for epoch in baseline.history},
                user_attrs={"name": BASELINE, "seconds": baseline.seconds},
            )
        )
    return study


def open_study(name: str, seed: int) -> "optuna.Study":
    """Open the study for one worker; workers with different seeds suggest different trials."""
    import optuna

    return optuna.load_study(
        study_name=name,
        storage=storage(),
        sampler=optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=4, multivariate=True, constant_liar=True
        ),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2),
    )
