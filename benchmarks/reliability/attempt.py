"""One attempt at a step in a process of its own, which can be stopped or hindered at a chosen touch.

A touch is a file that is opened for writing, renamed or removed, or a request that is sent. Python reports both to
audit hooks, so the code of the steps needs nothing for it.
"""

import multiprocessing
import os
import pickle
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from benchmarks.process import REPOSITORY
from benchmarks.reliability.steps import STEPS, Place
from components.common.narration import exit_on_stated_error
from components.common.settings import environment, export

Hindrance = Literal["kill", "terminate", "full", "memory", "clock"]
POLL_SECONDS = 0.02
GRACE_SECONDS = 30.0
# What a batch system, or the local runner, starts again.
TRIED_AGAIN = {75, 128 + signal.SIGKILL, 128 + signal.SIGTERM}
FULL = "ballast"
NO_FAKETIME = "libfaketime is not installed"
# Beyond what the process has when its work begins.
MEMORY = 64 * 2**20
ERROR = re.compile(r"^\[[a-z-]+\] error: ", re.MULTILINE)


class NotRunError(Exception):
    """A cell cannot be run on this machine, for the reason that the message gives."""


@dataclass(frozen=True)
class Hindered:
    """Something that happens to the process of a step.

    Attributes:
        what: `kill` and `terminate` send the signal. `full` fills the file system of `disk`. `memory` bounds the
            address space from the start. `clock` sets the clock off by an hour, forth or back, as `touch` is 1 or -1;
            it needs libfaketime.
        touch: The touch, counted from 1, before which it happens.
        disk: Directory of a small file system.
    """

    what: Hindrance
    touch: int = 1
    disk: Path | None = None


@dataclass(frozen=True)
class Ended:
    """An attempt that has ended.

    Attributes:
        status: Exit status, 128 + N where signal N ended it; None where it was hung.
        seconds: How long it took.
        touches: Touches of its main process.
        output: What it printed.
    """

    status: int | None
    seconds: float
    touches: int
    output: str

    @property
    def error_line(self) -> str:
        """The last line that tells an error, else the last line."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        told = [line for line in lines if ERROR.match(line)]
        return (told or lines or [""])[-1][:300]

    @property
    def told(self) -> bool:
        """Whether the process told its error in one line, as steps do."""
        return bool(ERROR.search(self.output))

    @property
    def traced(self) -> bool:
        return "Traceback (most recent call last)" in self.output


def make_attempt(
    step: str,
    place: Place,
    *,
    bound: float,
    hindered: Hindered | None = None,
    at_touch: Callable[[], None] | None = None,
) -> Ended:
    """Do the work of a step in a new process, and wait for its end.

    Args:
        step: Name of the step.
        place: Where it works; `place.out` is made.
        bound: Seconds after which it counts as hung, and is killed with all its processes.
        hindered: What happens to it.
        at_touch: Called in this process as soon as the step has begun to touch anything.
    """
    place.out.mkdir(parents=True)
    context = multiprocessing.get_context("forkserver")
    counter = context.Value("i", 0)
    # Not beside the step's files, whose file system may be full.
    descriptor, name = tempfile.mkstemp()
    os.close(descriptor)
    log = Path(name)
    started = time.monotonic()
    process: Any
    if hindered and hindered.what == "clock":
        process = _Fresh(step, place, log, hindered.touch)
    else:
        process = context.Process(target=_work, args=(step, place, log, counter, hindered))
        process.start()
    terminated = None
    while process.is_alive():
        now = time.monotonic()
        if at_touch and counter.value:
            at_touch()
            at_touch = None
        if (
            hindered
            and hindered.what == "terminate"
            and terminated is None
            and counter.value >= hindered.touch
        ):
            terminated = now
            with suppress(ProcessLookupError):
                os.kill(int(process.pid or 0), signal.SIGTERM)
        if (terminated and now - terminated > GRACE_SECONDS) or now - started > bound:
            _kill_all(process.pid)
            process.join()
            return Ended(None, time.monotonic() - started, counter.value, _read(log))
        process.join(POLL_SECONDS)
    seconds = time.monotonic() - started
    # Nothing of a pod outlives its first process.
    _kill_all(process.pid)
    code = process.exitcode or 0
    return Ended(code if code >= 0 else 128 - code, seconds, counter.value, _read(log))


class _Fresh:
    """A process that is not forked, because its clock must be set off before it starts."""

    def __init__(self, step: str, place: Place, log: Path, hours: int) -> None:
        library = faketime_library()
        if library is None:
            raise NotRunError(NO_FAKETIME)
        work = place.out.parent / f"work-{uuid.uuid4().hex}"
        work.write_bytes(pickle.dumps((step, place, log)))
        variables = {
            "LD_PRELOAD": str(library),
            "FAKETIME": f"{hours:+d}h",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        command = [sys.executable, "-m", "benchmarks.reliability.attempt", str(work)]
        self._process = subprocess.Popen(
            command, env=environment({**place.variables, **variables}), cwd=REPOSITORY, start_new_session=True
        )
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def join(self, seconds: float | None = None) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    @property
    def exitcode(self) -> int | None:
        return self._process.returncode


def faketime_library() -> Path | None:
    """Return the library that sets the clock off for a process, None where it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def _read(log: Path) -> str:
    text = log.read_text(errors="replace")
    log.unlink()
    return text


def _kill_all(pid: int | None) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(int(pid or 0), signal.SIGKILL)


def _work(step: str, place: Place, log: Path, counter: Any, hindered: Hindered | None) -> None:
    if os.getsid(0) != os.getpid():
        os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    export(place.variables)
    os.chdir(place.out)
    if hindered and hindered.what == "memory":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    sys.addaudithook(_hook(counter, hindered))
    # As in the process of a local run.
    with exit_on_stated_error("outputs"):
        STEPS[step].work(place)


def _hook(counter: Any, hindered: Hindered | None) -> Callable[[str, tuple[Any, ...]], None]:
    main = os.getpid()
    events = {"os.rename", "os.remove", "http.client.send", "sqlite3.connect"}

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
            if not writes or str(path).startswith(("/dev", "/proc")):
                return
        elif event not in events:
            return
        # A process that the step has started counts on its own.
        number = hook.count = hook.count + 1  # type: ignore[attr-defined]
        if os.getpid() == main:
            counter.value = number
        if hindered is None or number != hindered.touch:
            return
        if hindered.what == "kill":
            os.killpg(0, signal.SIGKILL)
        elif hindered.what == "full" and hindered.disk:
            fill(hindered.disk)

    hook.count = 0  # type: ignore[attr-defined]
    return hook


def fill(disk: Path) -> None:
    """Leave no room on the file system of a directory."""
    file = os.open(disk / FULL, os.O_WRONLY | os.O_CREAT)
    block = bytes(1 << 16)
    while block:
        try:
            os.write(file, block)
        except OSError:
            block = block[: len(block) // 2]
    os.close(file)


def make_room(disk: Path) -> None:
    """Remove what `fill` left."""
    (disk / FULL).unlink(missing_ok=True)


if __name__ == "__main__":
    # Written by the process that started this one.
    _step, _place, _log = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301
    _work(_step, _place, _log, SimpleNamespace(value=0), None)
