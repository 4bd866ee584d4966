"""A tuning worker: many trainings in one process, on data that is opened once."""

import gc
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from components.common.data.dataset import Split
from components.common.errors import PipelineError
from components.common.model.training_record import Epoch
from components.common.narration import say
from components.common.plan.training import TrainConfig
from components.common.tracking.run import TrackedRun
from components.train.autosave import Autosave
from components.train.checkpoint import Checkpoint
from components.train.session import Session
from components.tune.claims import Claims
from components.tune.halving import LAST, RUNGS, Leg, Repeat, due
from components.tune.study import SearchRecord, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = "tune"
POLL_SECONDS = 0.5
# Paused sessions that stay in memory, so that they need not be built again.
IN_MEMORY = 8


class Worker:
    """A worker that does what is due of a search, beside other workers, until the search is over.

    Args:
        record: The search.
        claims: Keep two workers from the same work.
        splits: Training and validation split.
        baseline: Gives every option that the search space does not vary.
        run: Gets a nested run for every trial.
        states: Directory, or s3:// prefix, for the states of paused trials. Without it a trial that another process
            began is trained from its first step.
    """

    def __init__(
        self,
        record: SearchRecord,
        claims: Claims,
        splits: tuple[Split, Split],
        baseline: TrainConfig,
        run: TrackedRun,
        states: str | None,
    ) -> None:
        self._record, self._claims, self._splits = record, claims, splits
        self._baseline, self._run, self._states = baseline, run, states
        self._paused: dict[int, tuple[float, Session]] = {}

    def work(self) -> int:
        """Work until the search is over.

        Returns:
            The pieces of work that this worker did.

        Raises:
            SystemExit: SIGTERM arrived during a training; its state is saved.
        """
        done = 0
        while jobs := self._due():
            if self._do_one(jobs):
                done += 1
                # A finished session is cyclic garbage that holds graphs and buffers.
                gc.collect()
            else:
                time.sleep(POLL_SECONDS)
        return done

    def _due(self) -> "Sequence[Leg | Repeat]":
        record = self._record
        return due(record.known(), record.repeats(), record.seeds)

    def _do_one(self, jobs: "Sequence[Leg | Repeat]") -> bool:
        """Do the first job that no other worker claims; return whether there was one."""
        for job in jobs:
            # A leg and a repeat may share a name: those of one trial are never due at the same time.
            name = f"{self._record.study.study_name}-{'-'.join(map(str, vars(job).values()))}"
            with self._claims.claim(name) as mine:
                # Another worker may have done it since `jobs` was made.
                if mine and job in self._due():
                    if isinstance(job, Leg):
                        self._run_leg(job)
                    else:
                        self._run_repeat(job)
                    return True
        return False

    def _run_leg(self, leg: Leg) -> None:
        """Train a trial up to its rung; record its score or its failure."""
        trial, part = leg.trial, RUNGS[leg.rung]
        self._record.start(trial)
        run = self._trial_run(trial)
        checkpoint = trial_checkpoint(self._states, trial) if self._states else None
        outcome, status = "failed", "FAILED"
        with Autosave(checkpoint) as autosave:
            try:
                epoch = self._train_leg(leg, autosave)
                self._claims.require()
                self._record.score(trial, leg.rung, epoch.val_accuracy)
                run.log_metrics(
                    {"val_accuracy": epoch.val_accuracy, "val_loss": epoch.val_loss}, percent(part)
                )
                outcome, status = "complete" if leg.rung == LAST else "paused", "FINISHED"
                figures = f"after {part:.3g} of its steps  validation {epoch.val_accuracy:.4f}"
                say(STEP, f"trial {trial} {outcome} {figures}")
                if leg.rung == LAST and checkpoint:
                    checkpoint.delete()
            except PipelineError as error:
                self._record.note(trial, "error", str(error))
                self._record.fail(trial)
                say(STEP, f"trial {trial} failed: {error}")
            except SystemExit:
                outcome, status = "interrupted", "KILLED"
                raise
            finally:
                run.set_tags({"outcome": outcome})
                run.close(status)

    def _train_leg(self, leg: Leg, autosave: Autosave) -> Epoch:
        """Train a trial up to its rung, from where it stands; return its score there."""
        checkpoint = autosave.checkpoint
        _, session = self._paused.pop(leg.trial, (0.0, None))
        if session is None:
            session = Session(*self._splits, self._config(leg.trial))
            if checkpoint:
                checkpoint.restore(session)
        session.run_until(math.ceil(RUNGS[leg.rung] * session.steps), autosave)
        if leg.rung == LAST:
            return session.score()
        # The learning rate takes as long to fall to 0 for the preview as the trial was trained for.
        epoch = session.preview(session.step)
        if checkpoint:
            checkpoint.save(session)
        self._keep(leg.trial, session, epoch.val_accuracy)
        return epoch

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
        with suppress(PipelineError), Autosave() as autosave:
            session = Session(*self._splits, config)
            session.run_until(session.steps, autosave)
            accuracy = session.score().val_accuracy
        self._claims.require()
        self._record.repeated(repeat.trial, repeat.shift, accuracy)
        self._run.log_metrics({f"trial_{repeat.trial}_val_accuracy": accuracy}, repeat.shift)
        say(STEP, f"trial {repeat.trial} with seed {config.seed}  validation {accuracy:.4f}")

    def _config(self, trial: int) -> TrainConfig:
        return self._baseline.differing(**self._record.options(trial))

    def _trial_run(self, trial: int) -> TrackedRun:
        """Open the trial's nested run, or go on with the one that its first leg opened."""
        attributes = self._record.study.trials[trial].user_attrs
        if known := attributes.get("mlflow_run_id"):
            return self._run.nested(known)
        run = self._run.child(f"trial {trial}", {"step": "trial"})
        run.log_params({f"config.{name}": value for name, value in self._record.options(trial).items()})
        self._record.note(trial, "mlflow_run_id", run.run_id)
        return run


def trial_checkpoint(states: str, trial: int) -> Checkpoint:
    """Return the place of a trial's state below a directory or s3:// prefix."""
    return Checkpoint(f"{states}/trial-{trial}.npz")
