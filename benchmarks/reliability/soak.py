"""`python -m benchmarks.reliability.soak`: hours of runs under faults, and many runs in one home."""

import argparse
import random
import shlex
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reliability.command import must_say, processes_of, quick_run, say
from benchmarks.reliability.kills import champion_weights
from benchmarks.reliability.lane import Lane, open_lane
from benchmarks.reliability.proxy import Fault
from benchmarks.reliability.record import write_record

MINUTES, EVERY_SECONDS = 120.0, 90.0
RUNS = 150
SEED = 20261130
BOUND = 900.0
# Runs before it are left out of the growth: databases and caches reach their size in them.
SETTLED = 10
MIB = 2**20
# Of a run. A version with its files, its report and the records of a run need room; servers should need none.
MOST_DISK, MOST_DESCRIPTORS, MOST_MEMORY = 8.0, 0.1, 1.0
SOAK = (
    "Runs of the command line on digits back to back, with a store and an MLflow server behind a proxy. Every "
    "{every:g} s the proxy makes a drawn fault of 2 to 20 s: refused connections, silence, or 503, 500 or 429 to each "
    "third request. `same` is a run that ended well with the weights of the first, undisturbed run."
)
ENDURANCE = (
    "Runs of the command line on digits in one home whose servers stay. After each run: size of the home, and open "
    "descriptors and resident memory of all its servers together. Growth is the median over the runs after the tenth."
)


def drawn_fault(draw: random.Random) -> tuple[str, Fault]:
    """Return the server that gets a fault, and the fault."""
    server, seconds = draw.choice(("store", "mlflow")), draw.uniform(2, 20)
    kinds = [
        Fault("refuse", seconds=seconds),
        Fault("silent", seconds=seconds),
        *(Fault("error", each=3, status=status, seconds=seconds) for status in (503, 500, 429)),
    ]
    return server, draw.choice(kinds)


def make_faults(lane: Lane, every: float, over: threading.Event, checking: threading.Lock) -> Counter[str]:
    """Make a fault in each interval until it is over, but not while a run is checked; return how many of each."""
    draw, made = random.Random(SEED), Counter[str]()  # noqa: S311
    while not over.wait(every):
        server, fault = drawn_fault(draw)
        name = f"{server} {fault.mode}{f' {fault.status}' if fault.mode == 'error' else ''}"
        print(f"fault: {name}, {fault.seconds:.0f} s", flush=True)
        made[name] += 1
        with checking:
            {"store": lane.store, "mlflow": lane.mlflow}[server].set(fault)
    return made


@dataclass(frozen=True)
class Soaked:
    """Runs under faults: how they ended, with which errors, and what faults there were."""

    ended: Counter[str]
    errors: list[str]
    faults: Counter[str]


def soak(work: Path, minutes: float, every: float) -> Soaked:
    """Run back to back under faults for so many minutes."""
    with open_lane(work / "lane", with_postgres=False) as lane:
        home, changes = work / "home", lane.variables
        must_say(home, *quick_run("undisturbed"), changes=changes)
        weights = champion_weights(home, "undisturbed", lane)
        over, checking, ended, errors = threading.Event(), threading.Lock(), Counter[str](), []
        with ThreadPoolExecutor(1) as pool:
            faults = pool.submit(make_faults, lane, every, over, checking)
            try:
                deadline = time.monotonic() + minutes * 60
                while time.monotonic() < deadline:
                    model = f"soak-{ended.total()}"
                    said = say(home, *quick_run(model), seconds=BOUND, changes=changes)
                    how = "same" if said.status == 0 else "traceback" if said.traced else "loud"
                    if how == "same":
                        with checking:
                            lane.store.set(None)
                            lane.mlflow.set(None)
                            how = "same" if champion_weights(home, model, lane) == weights else "wrong"
                    if said.status:
                        errors.append((said.error.strip().splitlines() or [""])[-1][:200])
                    ended[how] += 1
                    print(f"{how}: {errors[-1] if said.status else ''}", flush=True)
            finally:
                over.set()
    return Soaked(ended, errors, faults.result())


@dataclass(frozen=True)
class Grown:
    """What a home and its servers hold after a run."""

    disk: int
    descriptors: int
    memory: int


def measure_home(home: Path) -> Grown:
    """Return bytes of the home, open descriptors and resident bytes of its servers."""
    disk = 0
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            disk += path.stat().st_blocks * 512
    servers = list(processes_of(home))
    descriptors = sum(process.num_fds() for process in servers)
    return Grown(disk, descriptors, sum(process.memory_info().rss for process in servers))


def endurance(work: Path, runs: int) -> Iterator[Grown]:
    """Run so often in one home, and measure it after each run."""
    home = work / "home"
    must_say(home, "up")
    try:
        for number in range(runs):
            must_say(home, *quick_run(f"model-{number}"))
            grown = measure_home(home)
            print(f"run {number + 1}: {grown}", flush=True)
            yield grown
    finally:
        must_say(home, "down", "--force")


def growth(values: list[int]) -> float:
    """Return the growth a run: the slope of the line through the medians of both halves, which outliers do not bend."""
    settled = values[SETTLED:] if len(values) > 2 * SETTLED else values
    half = len(settled) // 2
    return (statistics.median(settled[-half:]) - statistics.median(settled[:half])) / (len(settled) - half)


def write_soak(soaked: Soaked, every: float, path: Path, command: str) -> int:
    """Write the figures of the soak."""
    rows: list[dict[str, Any]] = [
        {"what": f"runs: {how}", "number": count} for how, count in soaked.ended.items()
    ]
    rows += [{"what": f"faults: {name}", "number": count} for name, count in sorted(soaked.faults.items())]
    rows += [
        {"what": f"error: {line}", "number": count} for line, count in Counter(soaked.errors).most_common(5)
    ]
    floors = [
        {"floor": f"{bad}: 0", "measured": str(soaked.ended[bad]), "met": not soaked.ended[bad]}
        for bad in ("wrong", "traceback", "hung")
    ]
    return write_record(
        path,
        title="Soak",
        explanation=SOAK.format(every=every),
        rows=rows,
        floors=floors,
        command=command,
    )


def write_endurance(grown: list[Grown], path: Path, command: str) -> int:
    """Write the growth of a home and its servers."""
    found = {
        "disk of the home, MiB a run": (growth([one.disk for one in grown]) / MIB, MOST_DISK),
        "descriptors of the servers a run": (growth([one.descriptors for one in grown]), MOST_DESCRIPTORS),
        "memory of the servers, MiB a run": (growth([one.memory for one in grown]) / MIB, MOST_MEMORY),
    }
    marks = sorted({0, len(grown) // 2, len(grown) - 1})
    rows = [
        {
            "after run": mark + 1,
            "home, MiB": round(grown[mark].disk / MIB),
            "descriptors": grown[mark].descriptors,
            "memory, MiB": round(grown[mark].memory / MIB),
        }
        for mark in marks
    ]
    floors = [
        {
            "floor": f"growth of {name}: at most {most:g}",
            "measured": f"{measured:.2f}",
            "met": measured <= most,
        }
        for name, (measured, most) in found.items()
    ]
    return write_record(
        path,
        title="Many runs in one home",
        explanation=ENDURANCE,
        rows=rows,
        floors=floors,
        command=command,
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of the soak; 0 leaves it out")
    parser.add_argument("--every", type=float, default=EVERY_SECONDS, help="seconds between two faults")
    parser.add_argument("--runs", type=int, default=RUNS, help="in one home; 0 leaves them out")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"), help="directory for the figures")
    options = parser.parse_args(arguments)
    command = shlex.join(["python", "-m", "benchmarks.reliability.soak", *arguments])
    statuses = [0]
    with tempfile.TemporaryDirectory() as work:
        if options.minutes:
            soaked = soak(Path(work), options.minutes, options.every)
            statuses.append(
                write_soak(soaked, options.every, options.output / "reliability-soak.json", command)
            )
    with tempfile.TemporaryDirectory() as work:
        if options.runs:
            grown = list(endurance(Path(work), options.runs))
            statuses.append(write_endurance(grown, options.output / "reliability-endurance.json", command))
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
