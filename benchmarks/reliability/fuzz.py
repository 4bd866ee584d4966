"""`python -m benchmarks.reliability.fuzz`: every parser on inputs that are nearly right."""

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import Any

from benchmarks.process import REPOSITORY
from benchmarks.reliability.fuzz_data import DATA_TARGETS
from benchmarks.reliability.fuzz_records import RECORD_TARGETS
from benchmarks.reliability.fuzz_target import CANARY, Target
from benchmarks.reliability.fuzz_words import WORD_TARGETS
from benchmarks.reliability.record import write_record
from components.common.cores import cores

TARGETS = (*DATA_TARGETS, *RECORD_TARGETS, *WORD_TARGETS)
LEAST_CASES = 1_000_000
# Of processor time, and by the clock: other work on the machine slows a case, and one may wait without working.
CASE_SECONDS, CLOCK_SECONDS = 2.0, 30.0
# Address space beyond what the process has when it begins.
MEMORY = 2**30
# Cases whose lines are counted: it takes much longer.
TRACED = 1500
TRACED_SECONDS = 20.0
LONGEST_REST = 120.0
SHOWN_ESCAPES = 5
EXPLANATION = (
    "Each parser reads inputs that are nearly right: files whose headers, sizes, types, names or checksums say what is "
    "not so, documents with another value at any depth, texts with other characters. A case may end in a result or in "
    "one of the project's own errors, within 2 seconds of processor time and 1 GiB, without a file outside its "
    "directory, and without the password or signature that an address held in what is said. Everything else escapes."
)


class TooSlowError(BaseException):
    """A case takes longer than it may; no handler of `Exception` sees it."""


@dataclass
class Found:
    """What the cases of a target did.

    Attributes:
        cases: How many were tried.
        taken: How many gave a result.
        refused: How many were refused.
        slowest: Seconds of the slowest case.
        lines: Lines of the functions of the parser's modules, and how many of them ran.
        escapes: Number of the case, and what it did.
    """

    cases: int = 0
    taken: int = 0
    refused: int = 0
    slowest: float = 0.0
    lines: tuple[int, int] = (0, 0)
    escapes: list[tuple[int, str]] = field(default_factory=list)


def draw(target: Target, seed: int, number: int) -> Any:
    """Return the input of one case; the same for the same numbers."""
    return target.make(Random(f"{target.name} {seed} {number}"))  # noqa: S311


def attempt(target: Target, given: Any, root: Path, found: Found) -> str:
    """Let a target read an input; return what is wrong with how it ended, or "".

    Args:
        target: The target.
        given: Its input.
        root: Directory that holds nothing else.
        found: Counts the outcome.
    """
    scratch = root / "a" / "b" / "scratch"
    if target.files:
        scratch.mkdir(parents=True)
    _set_timers(CASE_SECONDS, CLOCK_SECONDS)
    wrong = ""
    try:
        target.use(given, scratch)
        found.taken += 1
    except target.refusals as error:
        found.refused += 1
        if CANARY in str(error):
            wrong = "a secret in the message"
    except (Exception, TooSlowError) as error:  # this is what is looked for
        place = traceback.extract_tb(error.__traceback__)[-1]
        wrong = f"{type(error).__name__}: {str(error)[:120]} ({Path(place.filename).name}:{place.lineno})"
    finally:
        _set_timers(0, 0)
    if target.files:
        listed = [
            sorted(path.name for path in level.iterdir()) for level in (root, root / "a", root / "a" / "b")
        ]
        if listed != [["a"], ["b"], ["scratch"]]:
            wrong = f"files outside: {listed}"
        shutil.rmtree(root / "a")
    return wrong


def _set_timers(processor: float, clock: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, processor)
    signal.setitimer(signal.ITIMER_REAL, clock)


def run_cases(target: Target, seed: int, first: int, last: int, until: float, told: Any) -> Found:
    """Try the cases of a target from `first` to before `last`, and no more after a moment of the monotonic clock."""
    found = Found()
    with tempfile.TemporaryDirectory(dir=_memory_directory()) as directory, _bounded():
        for number in range(first, last):
            told.value = number
            given = draw(target, seed, number)
            started = time.monotonic()
            if wrong := attempt(target, given, Path(directory), found):
                found.escapes.append((number, wrong))
            ended = time.monotonic()
            found.slowest = max(found.slowest, ended - started)
            found.cases += 1
            if ended > until:
                break
    return found


def _memory_directory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


@contextmanager
def _bounded() -> Iterator[None]:
    """Bound time and memory of the cases in this process."""

    def end(*_: object) -> None:
        raise TooSlowError

    signal.signal(signal.SIGALRM, end)
    signal.signal(signal.SIGPROF, end)
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def covered_lines(target: Target, seed: int, cases: int) -> tuple[int, int]:
    """Return the lines of the functions of a target's modules, and how many of them run in its first cases."""
    wanted: dict[str, set[int]] = {}
    for name in target.modules:
        path = str(importlib.import_module(name).__file__)
        wanted[path] = set(_function_lines(compile(Path(path).read_text(), path, "exec")))
    ran: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        path = frame.f_code.co_filename
        if path not in wanted:
            return None
        if event == "line":
            ran.add((path, frame.f_lineno))
        return trace

    until = time.monotonic() + TRACED_SECONDS
    with tempfile.TemporaryDirectory(dir=_memory_directory()) as directory:
        for number in range(cases):
            given = draw(target, seed, number)
            sys.settrace(trace)
            try:
                attempt(target, given, Path(directory), Found())
            finally:
                sys.settrace(None)
            if time.monotonic() > until:
                break
    return sum(map(len, wanted.values())), sum(line in wanted[path] for path, line in ran)


def _function_lines(code: CodeType, inside: bool = False) -> Iterator[int]:
    if inside:
        # The first line of a function is its definition.
        yield from (line for _, _, line in code.co_lines() if line and line != code.co_firstlineno)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            is_class = "__module__" in constant.co_names and "__qualname__" in constant.co_names
            yield from _function_lines(constant, not is_class)


def fuzz_target(target: Target, seed: int, cases: int, seconds: float) -> Found:
    """Try cases of a target in processes of their own; a process that ends in one is followed by another.

    Args:
        target: The target.
        seed: Decides the inputs.
        cases: How many to try.
        seconds: After which no further case begins.
    """
    context = multiprocessing.get_context("spawn")
    until, total, first = time.monotonic() + seconds, Found(), 0
    told = context.Value("q", 0)
    while first < cases and time.monotonic() < until:
        answers = context.SimpleQueue()
        process = context.Process(target=_work, args=(target.name, seed, first, cases, until, told, answers))
        process.start()
        # Beside its cases it imports, and counts lines.
        process.join(until - time.monotonic() + LONGEST_REST)
        if process.is_alive():
            process.kill()
            process.join()
        if not answers.empty():
            found: Found = answers.get()
            total.lines = found.lines
            _add(total, found)
            break
        total.escapes.append((told.value, f"the process ended with {process.exitcode}"))
        total.cases += told.value + 1 - first
        first = told.value + 1
    return total


def _work(name: str, seed: int, first: int, last: int, until: float, told: Any, answers: Any) -> None:
    target = next(target for target in TARGETS if target.name == name)
    # What tells people something would bury the results.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    _warm_up(target, seed)
    found = run_cases(target, seed, first, last, until, told)
    found.lines = covered_lines(target, seed, min(TRACED, last))
    answers.put(found)


def _warm_up(target: Target, seed: int) -> None:
    """Import what the cases need, so that the first is no slower than the others."""
    from components.ingest import decoding

    # The pictures of a case are few, whatever size they announce: no other processes for them.
    decoding.MANY_PIXELS = 2**62
    for alarm in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(alarm, signal.SIG_IGN)
    with tempfile.TemporaryDirectory(dir=_memory_directory()) as directory:
        for number in range(20):
            attempt(target, draw(target, seed, number), Path(directory), Found())


def _add(total: Found, found: Found) -> None:
    total.cases += found.cases
    total.taken += found.taken
    total.refused += found.refused
    total.slowest = max(total.slowest, found.slowest)
    total.escapes += found.escapes


def main(argv: list[str] | None = None) -> int:
    """Fuzz the targets, write the record, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="Part of the names of the targets.")
    parser.add_argument("--seconds", type=float, default=600.0, help="Longest time for one target.")
    parser.add_argument("--scale", type=float, default=1.0, help="Share of the cases to try.")
    parser.add_argument("--seed", type=int, default=1, help="Decides the inputs.")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "docs" / "reliability-fuzz.json")
    given = parser.parse_args(argv)
    chosen = [target for target in TARGETS if given.only in target.name]

    def work(target: Target) -> Found:
        found = fuzz_target(target, given.seed, max(1, int(target.cases * given.scale)), given.seconds)
        print(f"{target.name}: {found.cases:,} cases, {len(found.escapes)} escaped", flush=True)
        for number, wrong in found.escapes[:SHOWN_ESCAPES]:
            print(f"    case {number}: {wrong}", flush=True)
        return found

    # The slow ones first.
    with ThreadPoolExecutor(cores()) as pool:
        results = dict(zip(chosen, pool.map(work, chosen), strict=True))
    command = "make fuzz" if argv is None and len(sys.argv) == 1 else f"fuzz {json.dumps(sys.argv[1:])}"
    return write_record(
        given.output,
        title="Fuzzing",
        explanation=EXPLANATION,
        rows=[_row(target, found) for target, found in results.items()],
        floors=floors(list(results.values())),
        command=command,
    )


def _row(target: Target, found: Found) -> dict[str, Any]:
    lines, ran = found.lines
    return {
        "input": target.name,
        "cases": f"{found.cases:,}",
        "taken": f"{found.taken:,}",
        "refused": f"{found.refused:,}",
        "escaped": len(found.escapes),
        "slowest": f"{found.slowest:.2f} s",
        "lines of the parser that ran": f"{ran} of {lines}",
    }


def floors(results: list[Found]) -> list[dict[str, Any]]:
    """Return what is promised of all targets together."""
    cases, escapes = sum(found.cases for found in results), sum(len(found.escapes) for found in results)
    return [
        {"floor": f"at least {LEAST_CASES:,} cases", "measured": f"{cases:,}", "met": cases >= LEAST_CASES},
        {"floor": "no case escapes", "measured": escapes, "met": escapes == 0},
    ]


if __name__ == "__main__":
    sys.exit(main())
