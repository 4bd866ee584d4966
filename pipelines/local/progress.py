"""Progress of a local run, read from the output of kfp.local and the steps."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

COLOUR = re.compile(r"\x1b\[\d+m")
TASK_STARTED = re.compile(r"Executing task '([\w-]+)'")
TASK_ENDED = re.compile(r"Task '([\w-]+)' finished with status (SUCCESS|FAILURE)")
STEP_LINE = re.compile(r"\s*\[([a-z-]+)\] (.*)")
TRACEBACK = "Traceback (most recent call last):"
ERROR = "error: "


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
        # Deeper lines are left out: frames of a traceback, and at -1 whatever follows an error.
        self._skipped: int | None = None

    def lines(self, output: Iterator[str]) -> Iterator[str]:
        """Read the run's output; yield the lines for the terminal."""
        for raw in output:
            line = COLOUR.sub("", raw.rstrip())
            if started := TASK_STARTED.search(line):
                self.steps.append(Step(started[1]))
                self._skipped = None
            elif (ended := TASK_ENDED.search(line)) and (step := self._running(ended[1])):
                yield self._end(step, succeeded=ended[2] == "SUCCESS")
            elif narrated := STEP_LINE.match(line):
                self._last_line = _told_by(narrated[2])
                self._skipped = -1 if narrated[2].startswith(ERROR) else None
                yield f"[{narrated[1]}] {narrated[2]}"
            elif line.strip("- "):
                self._read(line)

    def finish(self, exit_status: int) -> None:
        """Record how the run's process ended."""
        self.succeeded = exit_status == 0
        if not self.succeeded:
            for step in self.steps:
                if step.status == "RUNNING":
                    step.end(succeeded=False)
            self.error = self.error or f"the run's process ended with status {exit_status}: {self._last_line}"

    def _read(self, line: str) -> None:
        """Keep a line as the last one; of an error that nobody caught, only the first line below the frames."""
        text = line.strip()
        depth = line.index(text)
        if text == TRACEBACK:
            self._skipped = depth
        elif self._skipped is None:
            self._last_line = text
        elif depth <= self._skipped:
            self._last_line, self._skipped = text, -1

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
    return line.removeprefix(ERROR) if line.startswith(ERROR) else f"it ended without an error, after: {line}"
