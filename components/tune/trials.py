"""A tuning worker: many trainings in one process, on data that is opened once."""

import gc
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.data.dataset import open_split
from components.common.data.info import DatasetInfo
from components.common.errors import PipelineError, StatedError
from components.common.model.training_record import Epoch
from components.common.narration import say
from components.common.plan.training import TrainConfig
from components.common.tracking.run import TrackedRun
from components.train.autosave import Autosave
from components.train.devices import training_shards
from components.train.fit import training_checkpoint
from components.train.session import DivergedError, Session
from components.tune.claims import STEP, Claims
from components.tune.halving import LAST, RUNGS, Leg, Repeat
from components.tune.study import MLFLOW_RUN, POLL_SECONDS, SearchRecord, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

# Paused sessions that stay in memory, so that they need not be built again.
IN_MEMORY = 8


class Worker:
    """A worker that does what is due of a search, beside other workers, until the search is over.

    Args:
        record: The search.
        claims: Keep two workers from the same work.
        development: Directory with the training and the validation split.
        baseline: Gives every option that the search space does not vary.
        run: Gets a nested run for every trial.
        checkpoints: Directory, or s3:// prefix, for the states of paused and of finished trials. Without it a trial
            that another process began is trained from its first step.
    """

    def __init__(
        self,
        record: SearchRecord,
        claims: Claims,
        development: Path,
        baseline: TrainConfig,
        run: TrackedRun,
        checkpoints: str | None,
    ) -> None:
        self._record, self._claims, self._info = record, claims, DatasetInfo.load(development)
        self._splits = open_split(development, "train"), open_split(development, "validation")
        self._run, self._checkpoints = run, checkpoints
        self._configs: dict[int, TrainConfig] = {0: baseline}
        self._paused: dict[int, tuple[float, Session]] = {}
        # Runs of trials whose ids the record does not have yet.
        self._opened: dict[int, TrackedRun] = {}

    def work(self, shards: int) -> int:
        """Work until no training in so many shards is due.

        Args:
            shards: Parts of each batch. A process can train in one number of parts only: TensorFlow keeps the threads
                that it began with, and they decide the bits of the weights.

        Returns:
            The pieces of work that this worker did.

        Raises:
            SystemExit: SIGTERM arrived during a training; its state is saved.
        """
        done = 0
        while jobs := [job for job in self._record.due() if self._shards(job) == shards]:
            if self._do_one(jobs):
                done += 1
                # A finished session is cyclic garbage that holds graphs and buffers.
                gc.collect()
            else:
                time.sleep(POLL_SECONDS)
        self._note_runs()
        return done

    def waiting(self) -> list[int]:
        """Return the numbers of shards of all trainings that are due, lowest first."""
        return sorted({self._shards(job) for job in self._record.due()})

    def _shards(self, job: "Leg | Repeat") -> int:
        return training_shards(self._config(job.trial))

    def _do_one(self, jobs: "Sequence[Leg | Repeat]") -> bool:
        """Do the first job that no other worker claims; return whether there was one."""
        # One whose session is in memory need not be built again.
        for job in sorted(jobs, key=lambda job: job.trial not in self._paused):
            # A leg and a repeat may share a name: those of one trial are never due at the same time.
            name = f"{self._record.study.study_name}-{'-'.join(map(str, vars(job).values()))}"
            with self._claims.claim(name) as mine:
                # Another worker may have done it since `jobs` was made.
                if mine and job in self._record.due():
                    if isinstance(job, Leg):
                        self._run_leg(job)
                    else:
                        self._run_repeat(job)
                    return True
        return False

    def _run_leg(self, leg: Leg) -> None:
        """Train a trial up to its rung; record its score or its failure.

        Only what the training itself raised fails a trial. After an outage the trial is due as before.
        """
        trial, part = leg.trial, RUNGS[leg.rung]
        self._record.start(trial)
        run = self._trial_run(trial)
        outcome, status = "interrupted", "KILLED"
        with Autosave(training_checkpoint(self._checkpoints, self._info, self._config(trial))) as autosave:
            try:
                epoch = self._train_leg(leg, autosave)
            except PipelineError as error:
                autosave.discard()
                self._record.fail(trial, error)
                outcome, status = "failed", "FAILED"
                say(STEP, f"trial {trial} failed: {error}")
            else:
                if self._still_mine(leg):
                    self._record.score(trial, leg.rung, epoch.val_accuracy)
                    scores = {"val_accuracy": epoch.val_accuracy, "val_loss": epoch.val_loss}
                    run.log_metrics(scores, percent(part))
                    outcome, status = "complete" if leg.rung == LAST else "paused", "FINISHED"
                    figures = f"after {part:.3g} of its steps  validation {epoch.val_accuracy:.4f}"
                    say(STEP, f"trial {trial} {outcome} {figures}")
                else:
                    outcome = ""
            finally:
                # A worker whose claim was lost leaves the run to the other.
                if outcome:
                    run.set_tags({"outcome": outcome})
                    run.close(status)

    def _train_leg(self, leg: Leg, autosave: Autosave) -> Epoch:
        """Train a trial up to its rung, from where it stands; return its score there."""
        _, session = self._paused.pop(leg.trial, (0.0, None))
        session = session or self._restored(leg, autosave)
        session.run(lambda _: None, autosave, _step(leg, session))
        if leg.rung == LAST:
            epoch = session.history[-1]
        else:
            # The learning rate takes as long to fall to 0 for the preview as the trial was trained for.
            epoch = session.preview(session.step)
            self._keep(leg.trial, session, epoch.val_accuracy)
        autosave.save(session)
        return epoch

    def _restored(self, leg: Leg, autosave: Autosave) -> Session:
        """Return the trial's training as it was saved, or from its beginning."""
        session = Session(*self._splits, self._config(leg.trial))
        try:
            autosave.restore(session)
        except PipelineError as error:
            # A store that refuses says nothing about the trial, which a PipelineError would fail.
            raise StatedError(str(error)) from error
        if session.step <= _step(leg, session):
            return session
        # The study has lost the score, and that of a later step would be another.
        return Session(*self._splits, self._config(leg.trial))

    def _still_mine(self, job: "Leg | Repeat") -> bool:
        """Return whether the work is still this worker's to record; a claim can be lost with its connection."""
        if self._claims.holds() and job in self._record.due():
            return True
        say(STEP, f"trial {job.trial} is another worker's since the database was away")
        return False

    def _keep(self, trial: int, session: Session, accuracy: float) -> None:
        """Keep a paused session in memory while it is among the best, since only the best go on."""
        self._paused[trial] = accuracy, session
        if len(self._paused) > IN_MEMORY:
            del self._paused[min(self._paused, key=lambda kept: self._paused[kept][0])]

    def _run_repeat(self, repeat: Repeat) -> None:
        """Train with another seed; a training that diverges counts as an accuracy of 0."""
        config = self._config(repeat.trial)
        config = config.differing(seed=config.seed + repeat.shift)
        accuracy = 0.0
        with suppress(DivergedError), Autosave() as autosave:
            session = Session(*self._splits, config)
            session.run_until(session.steps, autosave)
            accuracy = session.score().val_accuracy
        if not self._still_mine(repeat):
            return
        self._record.repeated(repeat.trial, repeat.shift, accuracy)
        self._run.log_metrics({f"trial_{repeat.trial}_val_accuracy": accuracy}, repeat.shift)
        say(STEP, f"trial {repeat.trial} with seed {config.seed}  validation {accuracy:.4f}")

    def _config(self, trial: int) -> TrainConfig:
        if trial not in self._configs:
            self._configs[trial] = self._configs[0].differing(**self._record.options(trial))
        return self._configs[trial]

    def _trial_run(self, trial: int) -> TrackedRun:
        """Open the trial's nested run, or go on with the one that its first leg opened."""
        self._note_runs()
        if opened := self._opened.get(trial):
            return opened
        if known := self._record.run_of(trial):
            return self._run.nested(known)
        run = self._run.child(f"trial {trial}", {"step": "trial"})
        run.log_params({f"config.{name}": value for name, value in self._record.options(trial).items()})
        self._opened[trial] = run
        self._note_runs()
        return run

    def _note_runs(self) -> None:
        """Tell other workers the ids of nested runs; a run has none while MLflow does not answer."""
        for trial in [trial for trial, run in self._opened.items() if run.run_id]:
            self._record.note(trial, MLFLOW_RUN, self._opened.pop(trial).run_id)


def _step(leg: Leg, session: Session) -> int:
    """Return the step at which the training is scored."""
    return math.ceil(RUNGS[leg.rung] * session.steps)
