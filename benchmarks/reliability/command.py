"""Commands of the command line in a home of their own, and the processes that work there."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.process import REPOSITORY
from components.common.settings import environment

# These name somebody's servers.
FOREIGN = ("MLFLOW_", "S3_", "AWS_", "OPTUNA_", "CHECKPOINT_")


def quick_run(model: str) -> tuple[str, ...]:
    """Return the command of a run of seconds on scikit-learn's digits, which registers the first version of a model."""
    options = (
        "epochs=1",
        "precision=float32",
        "min_steps=0",
        "batch_size=64",
        "min_accuracy=0",
        f"model_name={model}",
    )
    given = tuple(part for option in options for part in ("--set", option))
    return ("run", "--data", "digits", "--trials", "1", "--json", *given)


@dataclass(frozen=True)
class Said:
    """A command that has ended."""

    status: int
    output: str
    error: str

    @property
    def last_json(self) -> dict[str, Any]:
        """The object on the last line of stdout; empty where there is none."""
        lines = self.output.splitlines() or [""]
        try:
            found: dict[str, Any] = json.loads(lines[-1])
        except ValueError:
            return {}
        return found

    @property
    def traced(self) -> bool:
        return "Traceback (most recent call last)" in self.output + self.error


def start(home: Path, *command: str, changes: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """Start a command of `mnist-pipeline` on a home, in a process group of its own."""
    given = {name: value for name, value in environment().items() if not name.startswith(FOREIGN)}
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli.main", *command, "--home", str(home)],
        cwd=REPOSITORY,
        env=given | dict(changes or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def say(home: Path, *command: str, seconds: float = 600, changes: Mapping[str, str] | None = None) -> Said:
    """Run a command to its end.

    Raises:
        subprocess.TimeoutExpired: It did not end in time; it is killed.
    """
    with start(home, *command, changes=changes) as process:
        try:
            output, error = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Said(process.returncode, output, error)


def must_say(
    home: Path, *command: str, seconds: float = 600, changes: Mapping[str, str] | None = None
) -> Said:
    """Run a command that must end well.

    Raises:
        RuntimeError: It did not.
    """
    said = say(home, *command, seconds=seconds, changes=changes)
    if said.status:
        raise RuntimeError(f"{' '.join(command)} must end well but ended with {said.status}:\n{said.error}")
    return said


def processes_of(home: Path) -> Iterator[psutil.Process]:
    """Yield the processes that name a home in their command, or work in it."""
    for process in psutil.process_iter():
        try:
            there = str(home) in " ".join(process.cmdline()) or process.cwd().startswith(str(home))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if there and process.status() != psutil.STATUS_ZOMBIE:
            yield process
