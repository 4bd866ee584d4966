"""Progress of a local run, read from the output of kfp.local and the steps."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

COLOUR = re.compile(r"\x1b\[\d+m")
TASK_STARTED = re.compile(r"Executing task '([\w-]+)'")
TASK_ENDED = re.compile(r"Task '([\w-]+)' finished with status (SUCCESS|FAILURE)")
STEP_LINE = re.compile(r"\s*\[([a-z-]+)\] (.*)")


@dataclass
class Step:
    """One task of the run; `seconds` includes the start of its process."""

    name: str
    status: str = "RUNNING"
    seconds: float = 0.0
    started: float = field(default_factory=time.monotonic, repr=False)

    def end(self, *, succeeded: bool) -> None:
        self.seconds = time.monotonic() - self.started
        self.status = "SUCCEEDED" if succeeded else "FAILED"


class Progress:
    """Collects the steps and the first error from the lines that a run prints."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.succeeded = False
        self.error: str | None = None
        self._last_line = ""

    def lines(self, output: Iterator[str]) -> Iterator[str]:
        """Read the run's output; yield the lines for the terminal."""
        for raw in output:
            line = COLOUR.sub("", raw.rstrip())
            if started := TASK_STARTED.search(line):
                self.steps.append(Step(started[1]))
            elif (ended := TASK_ENDED.search(line)) and (step := self._running(ended[1])):
                yield self._end(step, succeeded=ended[2] == "SUCCESS")
            elif narrated := STEP_LINE.match(line):
                self._last_line = _told_by(narrated[2])
                yield f"[{narrated[1]}] {narrated[2]}"
            elif line.strip("- "):
                self._last_line = line.strip()

    def finish(self, exit_status: int) -> None:
        """Record how the run's process ended."""
        self.succeeded = exit_status == 0
        if not self.succeeded:
            for step in self.steps:
                if step.status == "RUNNING":
                    step.end(succeeded=False)
            self.error = self.error or f"the run's process ended with status {exit_status}: {self._last_line}"

    def _running(self, name: str) -> Step | None:
        """Return the step of this name that runs; None where a line only looks as if it had ended."""
        return next((step for step in self.steps if step.name == name and step.status == "RUNNING"), None)

    def _end(self, step: Step, *, succeeded: bool) -> str:
        step.end(succeeded=succeeded)
        if not succeeded and self.error is None:
            self.error = f"step {step.name} failed: {self._last_line}"
        return f"{step.status.lower():9}  {step.name}  {step.seconds:.1f} s"


def _told_by(line: str) -> str:
    """Return why a step failed by the last line that it narrated; one that was killed tells no error."""
    error = line.removeprefix("error: ")
    return error if error != line else f"it ended without an error, after: {line}"
