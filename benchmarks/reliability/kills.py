"""`python -m benchmarks.reliability.kills`: whole runs of which a process is killed at a drawn moment."""

import argparse
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.reliability.command import Said, must_say, processes_of, quick_run, say, start
from benchmarks.reliability.lane import Lane
from benchmarks.reliability.record import write_record
from components.train.devices import onednn_is_decided
from pipelines.local.home import Home
from pipelines.local.keeper import LINGER_SECONDS, MLFLOW, KeeperState
from pipelines.local.mlflow_api import call_mlflow

RUNS = 60
SEED = 20261128
BOUND = 600.0
FIRST = "undisturbed"
EXPLANATION = (
    "Runs of the command line on digits, one after the other in one home. A process of each is killed by SIGKILL at a "
    "moment that is drawn evenly from the time that a run takes. Where the run does not end well it is started again. "
    "Then the registered weights are compared with those of the first run, which nothing disturbed."
)


def _command(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


def _one(home: Path, wanted: Callable[[psutil.Process], bool]) -> psutil.Process | None:
    for process in processes_of(home):
        try:
            if wanted(process):
                return process
        except psutil.NoSuchProcess:
            continue
    return None


def _step(cli: psutil.Process) -> psutil.Process | None:
    """Return the process of the step that works now, as `pipelines.local.step_process` forks it."""
    for process in cli.children(recursive=True):
        if "multiprocessing.forkserver" in _command(process) and (below := process.children()):
            if onednn_is_decided():
                keras, *below = sorted(below, key=psutil.Process.create_time)
                below += [task for above in keras.children() for task in above.children()]
            return below[0] if below else None
    return None


def find(target: str, home: Path, cli: psutil.Process) -> psutil.Process | None:
    """Return the process to kill, None where there is none at this moment."""
    try:
        if target == "command":
            return cli
        if target == "step":
            return _step(cli)
        if target == "DAG":
            return next(
                (
                    one
                    for one in cli.children(recursive=True)
                    if "pipelines.local.execute" in _command(one) and "supervisor" not in _command(one)
                ),
                None,
            )
    except psutil.NoSuchProcess:
        return None
    part = {
        "keeper": "pipelines.local.keeper",
        "store": "swift_server.py",
        "MLflow": "pipelines.local.mlflow_process",
    }[target]
    return _one(home, lambda one: part in _command(one) and "supervisor.py" not in _command(one))


PARTS = {
    "keeper": "pipelines.local.keeper",
    "store": "swift_server.py",
    "MLflow": "pipelines.local.mlflow_process",
}
TARGETS = ("command", "DAG", "step", "keeper", "store", "MLflow")


@dataclass(frozen=True)
class Killed:
    """A run of which a process was killed.

    Attributes:
        target: What was killed.
        at: Seconds after the start.
        outcome: As in the fault table.
        recovery: Seconds from the kill to the end of the run that gave the result.
        line: The error that was told.
    """

    target: str
    at: float
    outcome: str
    recovery: float
    line: str


def kill_one(home: Path, model: str, target: str, moment: float, weights: str) -> Killed:
    """Start a run, kill a process of it, and run again where it did not end well."""
    process = start(home, *quick_run(model))
    cli = psutil.Process(process.pid)
    began = time.monotonic()
    time.sleep(moment)
    victim = None
    while victim is None and process.poll() is None:
        victim = find(target, home, cli)
        time.sleep(0.01)
    at = time.monotonic() - began
    if victim:
        victim.kill()
    try:
        output, error = process.communicate(timeout=BOUND)
    except subprocess.TimeoutExpired:
        process.kill()
        return Killed(target, at, "hung", BOUND, "")
    first = Said(process.returncode, output, error)
    line = "" if first.status == 0 else (error.strip().splitlines() or [""])[-1]
    outcome = "same"
    if first.status != 0:
        outcome = "traceback" if first.traced else "late"
        again = say(home, *quick_run(model), seconds=BOUND)
        if again.status:
            return Killed(target, at, "wrong", 0, f"{line} | again: {again.error.strip()[-300:]}")
    recovery = time.monotonic() - began - at
    if champion_weights(home, model) != weights:
        outcome = "wrong"
    return Killed(target, at, outcome, recovery, line)


def champion_weights(home: Path, model: str, lane: Lane | None = None) -> str:
    """Return the digest of the weights of a model's champion, in a home or in the MLflow of a lane."""
    changes = {"MLFLOW_TRACKING_URI": lane.tracking_uri} if lane else None
    command = ("models", "show", "champion", "--json", "--model", model)
    shown = must_say(home, *command, changes=changes).last_json
    return _find_weights(shown)


def _find_weights(shown: Any) -> str:
    if isinstance(shown, dict):
        for name, value in shown.items():
            if name == "weights_digest":
                return str(value)
            if found := _find_weights(value):
                return found
    return ""


def left_behind(home: Path) -> dict[str, int]:
    """Return what should not be there when nobody uses a home: open runs, doubled versions; then its processes."""
    must_say(home, "up")
    # The keeper closes the runs of dead commands as soon as MLflow answers.
    time.sleep(3)
    state = KeeperState.load(Home(home))
    uri = state.addresses[MLFLOW] if state else ""
    experiments = call_mlflow(uri, "experiments/search", {"max_results": 100})["experiments"]
    search = {
        "experiment_ids": [experiment["experiment_id"] for experiment in experiments],
        "filter": "attributes.status = 'RUNNING'",
    }
    running = len(call_mlflow(uri, "runs/search", search).get("runs", ()))
    versions = call_mlflow(uri, "model-versions/search?max_results=1000")["model_versions"]
    origins = Counter(
        tag["value"] for one in versions for tag in one.get("tags", ()) if tag["key"] == "pipeline_run_id"
    )
    must_say(home, "down", "--force")
    deadline = time.monotonic() + LINGER_SECONDS
    while list(processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return {
        "open runs": running,
        "doubled versions": sum(origins.values()) - len(origins),
        "processes left": len(list(processes_of(home))),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.kills", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/reliability-kills.json"))
    options = parser.parse_args(arguments)
    draw = random.Random(SEED)  # noqa: S311
    with tempfile.TemporaryDirectory() as work:
        home = Path(work, "home")
        must_say(home, *quick_run("first"))
        began = time.monotonic()
        must_say(home, *quick_run(FIRST))
        length = time.monotonic() - began
        weights = champion_weights(home, FIRST)
        killed = []
        for number in range(options.runs):
            one = kill_one(
                home, f"killed-{number}", TARGETS[number % len(TARGETS)], draw.uniform(0, length), weights
            )
            print(f"{one.outcome:<10} {one.target} after {one.at:.1f} s  {one.line}".rstrip(), flush=True)
            killed.append(one)
        left = left_behind(home)
    rows = [_row(target, [one for one in killed if one.target == target]) for target in TARGETS]
    floors = [
        *(
            {"floor": f"{name}: 0", "measured": str(count), "met": count == 0}
            for name, count in {
                **{bad: sum(one.outcome == bad for one in killed) for bad in ("wrong", "hung", "traceback")},
                **left,
            }.items()
        ),
    ]
    return write_record(
        options.output,
        title="Whole runs, killed",
        explanation=EXPLANATION,
        rows=rows,
        floors=floors,
        command=shlex.join(["python", "-m", "benchmarks.reliability.kills", *arguments]),
    )


def _row(target: str, killed: list[Killed]) -> dict[str, Any]:
    counts = Counter(one.outcome for one in killed)
    recoveries = [one.recovery for one in killed if one.outcome in {"same", "late"}]
    return {
        "killed": target,
        "runs": len(killed),
        "went on by itself": counts["same"],
        "ran again": counts["late"],
        "other": len(killed) - counts["same"] - counts["late"],
        "median s of recovery": f"{statistics.median(recoveries):.0f}" if recoveries else "",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
