"""Logs of the runs on this machine, one for each run, in which each step has its part."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from components.common.errors import PipelineError
from pipelines.candidates import chosen
from pipelines.local.home import Home
from pipelines.local.progress import COLOUR, TASK_ENDED, TASK_STARTED

LOG_SUFFIX = ".log"
SERVER_LOGS = {"store.log", "mlflow.log", "keeper.log"}
UNFINISHED = "unfinished"
# Runs that are looked through for an id.
MOST = 1000
LIST = "mnist-pipeline runs list"
STARTED = re.compile(r"Running pipeline: ")
# What kfp.local puts around the output of a task.
FRAME = re.compile(r"Streamed logs:$|^-{20,}$")


@dataclass
class StepLog:
    """What one step printed; steps that run at once share their lines.

    Attributes:
        step: The task's name.
        lines: The lines, without those of kfp.local around them.
        state: `UNFINISHED` where the log does not say that it ended.
    """

    step: str
    lines: list[str] = field(default_factory=list)
    state: str = UNFINISHED


def local_run_name(home: Home, named: str) -> str:
    """Return the name of the run on this machine that is meant by its name, its id in MLflow or how either begins.

    Raises:
        PipelineError: There is none, or there are several.
    """
    names = {}
    if home.logs.is_dir():
        logs = (path for path in home.logs.glob(f"*{LOG_SUFFIX}") if path.name not in SERVER_LOGS)
        names = {path.name.removesuffix(LOG_SUFFIX): path.name.removesuffix(LOG_SUFFIX) for path in logs}
    if not any(name.startswith(named) for name in names):
        names = {**names, **_names_by_id(home, named)}
    return names[chosen(named, names, LIST)]


def _names_by_id(home: Home, named: str) -> dict[str, str]:
    """Return the names of runs by their ids in the home's MLflow."""
    from pipelines.models.reader import open_reader

    try:
        with open_reader(home.path) as reader:
            return {
                run.run_id: run.name for run in reader.pipeline_runs(MOST) if run.run_id.startswith(named)
            }
    except PipelineError:
        return {}


def run_log_lines(home: Home, named: str, step: str | None, tail: int) -> Iterator[str]:
    """Yield a head and the last lines of a step of a run; by default of one that failed, else of the last.

    Args:
        home: Where the run was.
        named: Name or id of the run, or how it alone begins.
        step: The task's name, such as "train".
        tail: How many lines at most.

    Raises:
        PipelineError: There is no such run, it has no log, or no such step.
    """
    name = local_run_name(home, named)
    log = home.logs / f"{name}{LOG_SUFFIX}"
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            attempts = attempts_of(lines)
    except OSError as error:
        raise PipelineError(
            f"the log of run {name} must be in {home.logs} but is not ({error.strerror}): "
            "it was pruned, or the run was elsewhere."
        ) from None
    part = _chosen_part(attempts, step, name)
    yield f"{part.step}  {part.state}  {log}"
    yield from part.lines[-tail:]


def attempts_of(lines: Iterable[str]) -> list[list[StepLog]]:
    """Return the parts of a run's log in the order of their starts, for each attempt at the run.

    A line belongs to every step that runs when it is written.
    """
    attempts: list[list[StepLog]] = []
    parts: list[StepLog] = []
    for raw in lines:
        line = COLOUR.sub("", raw.rstrip())
        if STARTED.search(line):
            parts = []
            attempts.append(parts)
        elif started := TASK_STARTED.search(line):
            parts.append(StepLog(started[1]))
        elif ended := TASK_ENDED.search(line):
            # A loop's steps share a name.
            open_parts = [part for part in parts if (part.step, part.state) == (ended[1], UNFINISHED)]
            for part in open_parts[:1]:
                part.state = "succeeded" if ended[2] == "SUCCESS" else "failed"
        elif line and not FRAME.search(line):
            for part in parts:
                if part.state == UNFINISHED:
                    part.lines.append(line)
    return attempts


def _chosen_part(attempts: list[list[StepLog]], step: str | None, name: str) -> StepLog:
    for parts in reversed(attempts):
        # A step that succeeded in an earlier attempt is not in a later one.
        if found := [part for part in parts if step in {None, part.step}]:
            return next((part for part in found if part.state == "failed"), found[-1])
    names = ", ".join(dict.fromkeys(part.step for parts in attempts for part in parts))
    if names:
        raise PipelineError(
            f"--step must be a step of run {name} but {step!r} is none (there is: {names}): choose one of them."
        )
    raise PipelineError(f"a step of run {name} must have started but none has: see `mnist-pipeline status`.")
