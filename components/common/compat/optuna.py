"""Optuna's storage, for writes to a trial that another process may have created."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage


def storage_of(study: "optuna.Study") -> "BaseStorage":
    """Return the storage that the study reads and writes, with the study's cache in front of it."""
    # Optuna 5.0.0: `ask` and `tell` cannot go on with a trial that runs already, nor start a certain one of those that
    # wait. `Study.report`, by trial number, was merged (optuna/optuna#2176) and reverted (#2212), and to resume a trial
    # is not planned (#3351). The storage can do both, but `Study` has no public way to it.
    return study._storage
