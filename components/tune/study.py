"""The Optuna study that all tuning workers of a run share, and the record of the search in it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from components.common.compat.optuna import storage_of
from components.common.errors import TRY_AGAIN, PipelineError, StatedError, UnavailableError, first_line
from components.common.model.training_record import Training
from components.common.narration import say
from components.common.patience import patiently
from components.common.plan.training import TrainConfig
from components.common.settings import settings
from components.common.storage.address import shown
from components.train.session import DivergedError
from components.tune.claims import STEP, Claims, DatabaseClaims, FileClaims
from components.tune.database import database_must_answer, engine_options
from components.tune.halving import LAST, RUNGS, Known, Leg, Repeat, due
from components.tune.journal_file import open_journal
from components.tune.space import distributions, draw_configurations, options, params

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage

BASELINE = "baseline"
POLL_SECONDS = 0.5
# Attributes of a trial: the id of its run in MLflow, the error that it failed with, and whether its loss diverged.
MLFLOW_RUN, ERROR, DIVERGED = "mlflow_run_id", "error", "diverged"
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class LostStudyError(StatedError):
    """The study was damaged while it was open; waiting does not help, but trying the task again does."""

    exit_status = TRY_AGAIN


def patient(ask: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """Return the function with patience for outages of the database; it must be one that can be called again.

    What a storage that was damaged after it was opened makes Optuna raise has no common base class. The task that is
    tried again opens the study anew, which mends it.

    Raises:
        LostStudyError: The storage was damaged.
        UnavailableError: The database does not answer.
    """

    @wraps(ask)
    def asked(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        def once() -> Answer:
            with database_must_answer():
                return ask(*args, **kwargs)

        try:
            return patiently(STEP, once)
        except StatedError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error).rstrip('.')}"
            raise LostStudyError(
                f"the study must hold what was written into it but does not ({reason}): start the task again, which "
                "mends it."
            ) from error

    return asked


def _location() -> str:
    where = settings().optuna_storage
    if not where:
        raise PipelineError(
            "OPTUNA_STORAGE must name the study's storage but is not set: "
            "give a postgresql:// URL that all workers reach, or a journal file's path for workers on one machine."
        )
    if "://" not in where:
        return where
    scheme, _, rest = where.partition("://")
    if scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise PipelineError(
            f"OPTUNA_STORAGE must be a postgresql:// URL or a journal file's path but is a {scheme}:// URL: "
            "give one of these."
        )
    return f"postgresql+psycopg2://{rest}"


def storage() -> "BaseStorage":
    """Open the storage that `OPTUNA_STORAGE` names: a PostgreSQL URL, or the path of a journal file.

    Raises:
        PipelineError: The variable is not set, or the storage cannot be opened.
        UnavailableError: The database does not answer.
    """
    from optuna.storages import RDBStorage

    optuna_storage = _location()
    if "://" not in optuna_storage:
        return open_journal(Path(optuna_storage))
    try:
        with database_must_answer():
            return RDBStorage(optuna_storage, engine_kwargs=engine_options())
    except UnavailableError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise PipelineError(
            f"OPTUNA_STORAGE must be a storage that opens but {shown(optuna_storage)} does not ({reason}): "
            "start the database, or correct the address."
        ) from error


def claims() -> Claims:
    """Open the claims that belong to the storage.

    Raises:
        PipelineError: `OPTUNA_STORAGE` is not set, or names another database.
    """
    where = _location()
    return DatabaseClaims(where) if "://" in where else FileClaims(Path(f"{where}.claims"))


@patient
def open_study(
    name: str, baseline: Training, space: Mapping[str, Any], trials: int, seeds: int, seed: int
) -> "optuna.Study":
    """Open the study, and make what is missing of it: the finished baseline as trial 0, all others waiting.

    The same arguments make the same trials, whatever the number of workers, so that any task of a run can make them.
    Trials that are there are kept with their scores. Where one before them is missing, all are made again: Optuna
    numbers trials by their order, and the scores would be those of others. So they are where one has ended without
    what made it end, since Optuna changes no trial that has ended.

    Args:
        name: Name of the study.
        baseline: The trained baseline.
        space: The search space; empty for the default one.
        trials: Configurations in all, the baseline included.
        seeds: Trainings of the finalist.
        seed: Seeds the choice of configurations.

    Raises:
        PipelineError: The search space breaks a rule, or the storage cannot be opened.
        UnavailableError: The database does not answer.
    """
    import optuna

    study = _stored(name)
    if len(study.trials) >= trials and _is_whole(study) and "seeds" in study.user_attrs:
        return study
    with _claimed(f"{name}-trials"):
        study = _stored(name)
        if not _is_whole(study):
            say(STEP, f"the study {name} has lost trials: all are made again")
            optuna.delete_study(study_name=name, storage=storage_of(study))
            study = _stored(name)
        study.set_user_attr("seeds", seeds)
        for trial in _trials(baseline, space, trials, seed)[len(study.trials) :]:
            study.add_trial(trial)
    return study


def _stored(name: str) -> "optuna.Study":
    import optuna

    opened = storage()
    with suppress(KeyError):
        return optuna.load_study(study_name=name, storage=opened)
    return optuna.create_study(study_name=name, storage=opened, direction="maximize", load_if_exists=True)


def _is_whole(study: "optuna.Study") -> bool:
    trials = study.trials
    return all(
        trial.user_attrs.get("number") == trial.number
        and trial.params.keys() == trials[0].params.keys()
        and _is_consistent(trial)
        for trial in trials
    )


def _is_consistent(trial: "optuna.trial.FrozenTrial") -> bool:
    """Return whether a trial has what its state and its scores presuppose."""
    from optuna.trial import TrialState

    if trial.number == 0:
        return trial.values is not None
    if trial.state is TrialState.FAIL:
        return {ERROR, DIVERGED} <= trial.user_attrs.keys()
    first, last = (percent(part) for part in RUNGS)
    scores = trial.intermediate_values.keys()
    needed = {TrialState.COMPLETE: {first, last}, TrialState.PRUNED: {first}}.get(trial.state, set())
    return needed <= scores and (last not in scores or first in scores)


@contextmanager
def _claimed(name: str) -> Iterator[None]:
    """Wait until no other worker claims the work, and claim it."""
    while True:
        with claims().claim(name) as mine:
            if mine:
                yield
                return
        time.sleep(POLL_SECONDS)


def _trials(
    baseline: Training, space: Mapping[str, Any], trials: int, seed: int
) -> "list[optuna.trial.FrozenTrial]":
    from optuna.trial import TrialState, create_trial

    config = TrainConfig.model_validate(baseline.config)
    searched = distributions(space, config)
    made = [create_trial(
        params=params(config, searched),
        distributions=searched,
        value=baseline.validation_accuracy,
        intermediate_values={100: baseline.validation_accuracy},
        user_attrs={"name": BASELINE, "seconds": baseline.seconds, "number": 0},
    )]  # fmt: skip
    return made + [
        create_trial(
            state=TrialState.WAITING, params=drawn, distributions=searched, user_attrs={"number": number}
        )
        for number, drawn in enumerate(draw_configurations(config, searched, trials - 1, seed), start=1)
    ]


class SearchRecord:
    """The state of a search in its study; every method reads or writes the storage at once, whatever its outages.

    Attributes:
        study: The study.
        images: Validation images.
        seeds: Trainings of the finalist.
        baseline: Validation accuracy of the baseline's training.
    """

    @patient
    def __init__(self, study: "optuna.Study", images: int) -> None:
        self.study, self.images = study, images
        self.seeds: int = study.user_attrs["seeds"]
        self.baseline: float = study.trials[0].values[0]
        self._storage = storage_of(study)
        self._study_id = self._storage.get_study_id_from_name(study.study_name)

    @patient
    def known(self) -> dict[int, Known]:
        """Return all trials but the baseline, by number."""
        from optuna.trial import TrialState

        percents = [percent(part) for part in RUNGS]
        return {
            trial.number: Known(
                {percents.index(step): value for step, value in trial.intermediate_values.items()},
                failed=trial.state is TrialState.FAIL,
            )
            for trial in self.study.get_trials(deepcopy=False)[1:]
        }

    @patient
    def repeats(self) -> dict[tuple[int, int], float]:
        """Return the validation accuracy of each training with another seed, by trial and shift of the seed."""
        found = {}
        for name, value in self.study.user_attrs.items():
            kind, _, rest = name.partition(" ")
            if kind == "repeat":
                trial, shift = map(int, rest.split())
                found[trial, shift] = value
        return found

    def due(self) -> list[Leg] | list[Repeat]:
        """Return all work that can be done now; an empty list means that the search is over."""
        return due(self.known(), self.repeats(), self.seeds, self.baseline, self.images)

    @patient
    def options(self, trial: int) -> dict[str, Any]:
        """Return the training options of a trial."""
        return options(self.study.trials[trial].params)

    @patient
    def start(self, trial: int) -> None:
        """Record that a trial is being trained."""
        from optuna.trial import TrialState

        self._storage.set_trial_state_values(self._id(trial), TrialState.RUNNING)

    @patient
    def note(self, trial: int, name: str, value: Any) -> None:
        """Record a JSON value of a trial under a name."""
        self._storage.set_trial_user_attr(self._id(trial), name, value)

    @patient
    def score(self, trial: int, rung: int, accuracy: float) -> None:
        """Record a trial's validation accuracy at a rung, a place in `RUNGS`."""
        self._storage.set_trial_intermediate_value(self._id(trial), percent(RUNGS[rung]), accuracy)
        self._require(rung in self.known()[trial].scores)

    @patient
    def repeated(self, trial: int, shift: int, accuracy: float) -> None:
        """Record the validation accuracy of a trial trained with the baseline's seed plus `shift`."""
        self.study.set_user_attr(f"repeat {trial} {shift}", accuracy)
        self._require((trial, shift) in self.repeats())

    def _require(self, written: bool) -> None:
        """End the work where nothing that is written can be read again: the same would be due for ever."""
        if not written:
            raise LookupError("a score that was just written is not there")

    @patient
    def fail(self, trial: int, error: PipelineError) -> None:
        """Record that a trial's training failed, and why."""
        from optuna.trial import TrialState

        self.note(trial, ERROR, str(error))
        self.note(trial, DIVERGED, isinstance(error, DivergedError))
        self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    @patient
    def require_tried(self) -> None:
        """Refuse to choose after a search of which most trials were refused for one reason, and never trained.

        Raises:
            PipelineError: More than half of them were; a loss that diverged is a result and does not count.
        """
        trials = self.study.get_trials(deepcopy=False)[1:]
        refused = Counter(
            trial.user_attrs[ERROR] for trial in trials if trial.user_attrs.get(DIVERGED) is False
        )
        for reason, count in refused.most_common(1):
            if 2 * count > len(trials):
                raise PipelineError(
                    f"most trials of a search must be trained but {count} of {len(trials)} were refused because "
                    f"{reason.rstrip('.')}: correct that or search.space."
                )

    @patient
    def run_of(self, trial: int) -> str:
        """Return the id of a trial's run in MLflow, "" where none is known."""
        return str(self.study.trials[trial].user_attrs.get(MLFLOW_RUN, ""))

    @patient
    def pruned_runs(self) -> list[str]:
        """Return the ids in MLflow of the trials that did not come to their end."""
        from optuna.trial import TrialState

        pruned = self.study.get_trials(deepcopy=False, states=[TrialState.PRUNED])
        return [known for trial in pruned if (known := trial.user_attrs.get(MLFLOW_RUN))]

    @patient
    def settle(self) -> None:
        """Close the trials of a finished search: those trained to the end are complete, the others are pruned."""
        from optuna.trial import TrialState

        for trial, known in self.known().items():
            if known.failed:
                continue
            # The entry by which it was started may be lost; Optuna closes no trial that waits.
            if self.study.trials[trial].state is TrialState.WAITING:
                self.start(trial)
            if LAST in known.scores:
                self.study.tell(trial, known.scores[LAST], skip_if_finished=True)
            else:
                self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

    def _id(self, trial: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial)


def percent(part: float) -> int:
    """Return a part of the training as percent: Optuna's steps are whole numbers."""
    return round(100 * part)
