"""The cells of the fault table, each a step under a fault."""

import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks.reliability.attempt import (
    TRIED_AGAIN,
    Ended,
    Hindered,
    Hindrance,
    NotRunError,
    make_attempt,
    make_room,
)
from benchmarks.reliability.lane import Lane
from benchmarks.reliability.outcomes import OUTCOMES, Outcome, Verdict
from benchmarks.reliability.postgres import NOT_INSTALLED
from benchmarks.reliability.proxy import Fault, FaultProxy
from benchmarks.reliability.reference import Reference

Server = Literal["store", "mlflow", "database"]
# Stands for the five minutes of OUTAGE_SECONDS; outages of the table are shortened in the same measure.
PATIENCE = 10.0
BOUND = 150.0
ATTEMPTS = 3
DISK_BYTES = 64 * 2**20
# Steps that go on where an earlier attempt ended.
RESUMING = {"train", "search"}


@dataclass(frozen=True)
class Scenario:
    """A fault, and the steps that it concerns.

    Attributes:
        fault: Its name in the table.
        group: The kind of fault.
        steps: Those that it concerns.
        brief: Whether it lasts less than the patience.
        server: The server whose proxy has the fault.
        wire: That fault; its `first` is replaced.
        at: Where in the step it begins, from 0 for its first touch or request to 1 for its last; hours by which a clock
            is off.
        what: What happens to the process of the step.
        before: Called before the first attempt, to damage what the step is given.
        beside: Called when the step has begun.
        prior: Whether an attempt that SIGTERM ends comes first, so that there is a state to resume.
        twice: Whether another run does the same step at the same moment.
        final: Whether the fault stays, so that a refusal is the right result and the last word.
        patience: Seconds that the step waits for an outage.
        bound: Seconds after which it counts as hung.
    """

    fault: str
    group: str
    steps: tuple[str, ...]
    brief: bool = False
    server: Server | None = None
    wire: Fault | None = None
    at: float = 0.5
    what: Hindrance | None = None
    before: "Callable[[Cell], None] | None" = None
    beside: "Callable[[Cell], None] | None" = None
    prior: bool = False
    twice: bool = False
    final: bool = False
    patience: float = PATIENCE
    bound: float = BOUND


class Cell:
    """A step under a fault, in a lane.

    Args:
        scenario: The fault.
        step: The step.
        lane: The servers.
        reference: The run without faults.
        directory: New directory of its own.
    """

    def __init__(
        self, scenario: Scenario, step: str, lane: Lane, reference: Reference, directory: Path
    ) -> None:
        self.scenario, self.step, self.lane, self.reference = scenario, step, lane, reference
        self.directory = directory
        self.attempts = 0
        self.outputs: list[str] = []
        self.prior = scenario.prior and step in RESUMING

    def verdict(self) -> Verdict:
        """Do the step under the fault, again where a batch system would, and once more where it failed."""
        with ExitStack() as stack:
            self.directory.mkdir()
            disk = stack.enter_context(small_disk(self.directory)) if self.scenario.what == "full" else None
            self.prepare(disk)
            outcome, seconds, line = self.under_fault(disk)
            if proxy := self._proxy():
                proxy.set(None)
            lost = False
            if outcome not in {"same", "late"} and not self.scenario.final:
                # The fault is over and the input whole: the same work must give the result now.
                self.reference.restore(self.directory)
                if disk:
                    make_room(disk)
                after = self._attempt(None)
                lost = after.status != 0 or not self._is_right()
                if lost:
                    line, outcome = f"{line} | afterwards: {after.error_line}", "wrong"
            return self._verdict(outcome, seconds, line, lost=lost)

    def verdict_beside(self, other: "Cell") -> Verdict:
        """Do the step at the same moment as another run, with the same states, registered model and champion."""
        for cell in (self, other):
            cell.directory.mkdir()
            cell.prepare(None)
        shared = {"CHECKPOINT_DIR": self.place.variables["CHECKPOINT_DIR"]}
        plan = other.place.plan.model_copy(update={"registry": self.place.plan.registry})
        other.place = replace(other.place, plan=plan, variables={**other.place.variables, **shared})
        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(lambda cell: cell.under_fault(None), (self, other)))
        outcome, _, line = max(ended, key=lambda one: OUTCOMES.index(one[0]))
        return self._verdict(outcome, max(seconds for _, seconds, _ in ended), line)

    def _verdict(self, outcome: Outcome, seconds: float, line: str, *, lost: bool = False) -> Verdict:
        scenario = self.scenario
        return Verdict(scenario.fault, self.step, outcome, round(seconds, 1), line, lost, scenario.brief)

    def prepare(self, disk: Path | None) -> None:
        """Make all that the step finds before the fault."""
        scenario = self.scenario
        self.place = self.reference.place(self.step, self.lane, self.directory, scenario.patience)
        if disk:
            self.place = replace(self.place, variables={**self.place.variables, "TMPDIR": str(disk)})
        if scenario.server == "database":
            self._use_database()
        if self.prior:
            self._attempt(Hindered("terminate", max(1, self.reference.touches[self.step] * 3 // 4)))
        if scenario.before:
            scenario.before(self)

    def _use_database(self) -> None:
        """Keep the study in PostgreSQL, and do there what comes before the step."""
        if not (self.lane.postgres and self.lane.database):
            raise NotRunError(NOT_INSTALLED)
        url = self.lane.postgres.url(self.lane.database.port)
        self.place = replace(self.place, variables={**self.place.variables, "OPTUNA_STORAGE": url})
        for step in {"study": (), "search": ("study",), "choose": ("study", "search")}[self.step]:
            before = replace(self.place, out=self.directory / step)
            ended = make_attempt(step, before, bound=self.scenario.bound)
            if ended.status != 0:
                raise RuntimeError(f"{step} must end well before the fault but did not:\n{ended.output}")

    def under_fault(self, disk: Path | None) -> tuple[Outcome, float, str]:
        """Do the step; return how that ended, its seconds, and its error."""
        hindered = self._hindered(disk)
        proxy = self._proxy()
        if proxy and self.scenario.wire:
            counted = self.reference.requests[self.step].get(str(self.scenario.server), 1)
            first = 1 + round(self.scenario.at * max(0, counted - 1))
            proxy.set(replace(self.scenario.wire, first=first))
        started = time.monotonic()
        ended = self._attempt(hindered)
        while ended.status in TRIED_AGAIN and self.attempts < ATTEMPTS + self.prior:
            while proxy and not proxy.over and time.monotonic() - started < self.scenario.bound:
                # The pauses between the attempts of a batch system are longer than any fault here.
                time.sleep(0.1)
                if self.scenario.wire and self.scenario.wire.seconds == float("inf"):
                    proxy.set(None)
            ended = self._attempt(None)
        return self._judged(ended), time.monotonic() - started, "" if not ended.status else ended.error_line

    def _judged(self, ended: Ended) -> Outcome:
        if ended.status is None:
            return "hung"
        if ended.status == 0:
            if not self._is_right():
                return "wrong"
            return "late" if self.attempts > 1 + self.prior else "same"
        # The platform itself tells of a process that a signal ended.
        if ended.traced or not (ended.told or ended.status > 128):
            return "traceback"
        return "loud"

    def _attempt(self, hindered: Hindered | None) -> Ended:
        self.attempts += 1
        self.place = replace(self.place, out=self.directory / f"out-{self.attempts}")
        beside = self.scenario.beside if self.attempts == 1 + self.prior else None
        ended = make_attempt(
            self.step,
            self.place,
            bound=self.scenario.bound,
            hindered=hindered,
            at_touch=(lambda: beside(self)) if beside else None,
        )
        self.outputs.append(f"{ended.output}\nstatus {ended.status} after {ended.seconds:.1f} s\n")
        return ended

    def _hindered(self, disk: Path | None) -> Hindered | None:
        if not self.scenario.what:
            return None
        if self.scenario.what == "clock":
            return Hindered("clock", round(self.scenario.at))
        touches = self.reference.touches[self.step]
        return Hindered(self.scenario.what, 1 + round(self.scenario.at * max(0, touches - 1)), disk)

    def _proxy(self) -> FaultProxy | None:
        return getattr(self.lane, self.scenario.server) if self.scenario.server else None

    def _is_right(self) -> bool:
        try:
            return self.reference.is_outcome(self.step, self.place)
        except (OSError, KeyError, ValueError, StopIteration, zipfile.BadZipFile):
            return False


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """Mount a small file system at an existing directory; needs the right to mount.

    Raises:
        NotRunError: That right is missing.
    """
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", directory],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        raise NotRunError(mounted.stderr.strip())
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)
