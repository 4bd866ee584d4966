"""The work of one tuning worker: many trainings in one process, on data that is opened once."""

import gc
import math
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from components.common.data.dataset import Split
from components.common.errors import PipelineError
from components.common.narration import say
from components.common.plan.training import TrainConfig
from components.common.tracking.run import TrackedRun
from components.train.checkpoint import Checkpoint
from components.train.fit import CHECKPOINT_SECONDS
from components.train.trainer import Trainer
from components.tune.claims import Claims
from components.tune.halving import LAST, RUNGS, Leg, Repeat, due
from components.tune.study import SearchRecord, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = "tune"
POLL_SECONDS = 0.5
# Paused trainings that stay in memory, where they go on without being built anew.
IN_MEMORY = 8


class Worker:
    """Does what is due of a search, side by side with other workers, until the search is over.

    Args:
        record: The search.
        claims: Keep two workers from the same work.
        splits: Training and validation split.
        baseline: Gives every option that the search space does not vary.
        run: Gets a nested run for every trial.
        states: Directory, or s3:// prefix, for the states of paused trials; without it a trial that another process
            began is trained anew.
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
        self._paused: dict[int, tuple[float, Trainer]] = {}

    def work(self) -> int:
        """Return how many pieces of work this worker did."""
        done = 0
        while jobs := self._due():
            if self._do_one(jobs):
                done += 1
                # A finished training is a web of cycles that holds its graphs and buffers.
                gc.collect()
            else:
                time.sleep(POLL_SECONDS)
        return done

    def _due(self) -> "Sequence[Leg | Repeat]":
        record = self._record
        return due(record.known(), record.repeats(), record.seeds)

    def _do_one(self, jobs: "Sequence[Leg | Repeat]") -> bool:
        for job in jobs:
            # A leg and a repeat may share a name: those of one trial are never due at the same time.
            name = f"{self._record.study.study_name}-{'-'.join(map(str, vars(job).values()))}"
            with self._claims.claim(name) as mine:
                # What was due a moment ago may have been done since.
                if mine and job in self._due():
                    if isinstance(job, Leg):
                        self._run_leg(job)
                    else:
                        self._run_repeat(job)
                    return True
        return False

    def _run_leg(self, leg: Leg) -> None:
        record, trial = self._record, leg.trial
        last = leg.rung == LAST
        record.start(trial)
        run = self._trial_run(trial)
        outcome = "failed"
        try:
            checkpoint = trial_checkpoint(self._states, trial) if self._states else None
            _, trainer = self._paused.pop(trial, (0.0, None))
            if trainer is None:
                trainer = Trainer(*self._splits, self._config(trial))
                if checkpoint:
                    checkpoint.restore(trainer)
            self._advance(trainer, math.ceil(RUNGS[leg.rung] * trainer.steps), checkpoint)
            # The learning rate takes as long to fall to 0 for the preview as the trial was trained for.
            epoch = trainer.score() if last else trainer.preview(trainer.step)
            if not last:
                if checkpoint:
                    checkpoint.save(trainer)
                self._keep(trial, trainer, epoch.val_accuracy)
            self._claims.require()
            record.score(trial, leg.rung, epoch.val_accuracy)
            figures = {"val_accuracy": epoch.val_accuracy, "val_loss": epoch.val_loss}
            run.log_metrics(figures, percent(RUNGS[leg.rung]))
            outcome = "complete" if last else "paused"
            say(
                STEP,
                f"trial {trial} {outcome} after {RUNGS[leg.rung]:.3g} of its steps  "
                f"validation {epoch.val_accuracy:.4f}",
            )
            if last and checkpoint:
                checkpoint.delete()
        except PipelineError as error:
            record.note(trial, "error", str(error))
            record.fail(trial)
            say(STEP, f"trial {trial} failed: {error}")
        finally:
            run.set_tags({"outcome": outcome})
            run.close("FAILED" if outcome == "failed" else "FINISHED")

    def _keep(self, trial: int, trainer: Trainer, accuracy: float) -> None:
        """Keep a paused training in memory while it is among the best: only they go on."""
        self._paused[trial] = accuracy, trainer
        if len(self._paused) > IN_MEMORY:
            del self._paused[min(self._paused, key=lambda kept: self._paused[kept][0])]

    def _run_repeat(self, repeat: Repeat) -> None:
        """Train with another seed; a training that diverges counts as an accuracy of 0."""
        config = self._config(repeat.trial)
        config = config.differing(seed=config.seed + repeat.shift)
        accuracy = 0.0
        with suppress(PipelineError):
            trainer = Trainer(*self._splits, config)
            self._advance(trainer, trainer.steps, None)
            accuracy = trainer.score().val_accuracy
        self._claims.require()
        self._record.repeated(repeat.trial, repeat.shift, accuracy)
        self._run.log_metrics({f"trial_{repeat.trial}_val_accuracy": accuracy}, repeat.shift)
        say(STEP, f"trial {repeat.trial} with seed {config.seed}  validation {accuracy:.4f}")

    def _advance(self, trainer: Trainer, until: int, checkpoint: Checkpoint | None) -> None:
        interval = float(os.environ.get("CHECKPOINT_SECONDS", CHECKPOINT_SECONDS))
        saved = time.monotonic()
        while trainer.step < until:
            trainer.advance(until)
            if checkpoint and time.monotonic() - saved >= interval:
                checkpoint.save(trainer)
                saved = time.monotonic()

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
    return Checkpoint(f"{states}/trial-{trial}.npz")
