"""`python -m benchmarks.reliability.faults`: every step under every fault that concerns it."""

import argparse
import json
import queue
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.reliability.attempt import NotRunError
from benchmarks.reliability.cells import Cell, Scenario
from benchmarks.reliability.lane import Lane, open_lane
from benchmarks.reliability.outcomes import OUTCOMES, Verdict, floors
from benchmarks.reliability.record import write_record
from benchmarks.reliability.reference import Reference
from benchmarks.reliability.steps import STEPS
from benchmarks.reliability.table import scenarios
from components.common.settings import environment, withdraw
from components.train.devices import onednn_is_decided

LANES = 2
OUTPUT = Path("docs/reliability-faults.json")
KEPT = Path("build/reliability/faults.jsonl")
REFERENCE = KEPT.with_name("reference")
EXPLANATION = (
    "Each cell is one step of the pipeline in a process of its own, on digits, under one fault. Store, MLflow and "
    "PostgreSQL are real servers behind a proxy that makes the fault. A step waits 10 s for an outage here, in place "
    "of the 300 s of OUTAGE_SECONDS, and outages are shorter in the same measure. A step that ends with a status "
    'that a batch system takes for "try again" is started again, as there. `same` and `late` are the result without '
    "and with such a retry. `loud` is one line of error, nothing lost, and the result once the fault is over."
)
Chosen = tuple[Scenario, str]


def main(arguments: list[str]) -> int:
    groups = sorted({scenario.group for scenario in scenarios()})
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.faults", description=__doc__)
    parser.add_argument("--resume", action="store_true", help="keep the cells that were run before")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join((*groups, *STEPS))}")
    parser.add_argument("--report", action="store_true", help="run nothing more, and write what was run")
    parser.add_argument(
        "--lanes", type=int, default=LANES, help="cells at a time, each with servers of its own"
    )
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    chosen = [
        (scenario, step)
        for scenario in scenarios()
        for step in scenario.steps
        if _is_chosen(options.only, scenario, step)
    ]
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    if not (options.resume or options.report):
        KEPT.unlink(missing_ok=True)
        shutil.rmtree(REFERENCE, ignore_errors=True)
    # What was missing then may be there now.
    verdicts = {(known.fault, known.step): known for known in _known() if not known.not_run}
    waiting = [(scenario, step) for scenario, step in chosen if (scenario.fault, step) not in verdicts]
    if options.report:
        missing = [Verdict(scenario.fault, step, not_run="not reached") for scenario, step in waiting]
        verdicts |= {(verdict.fault, verdict.step): verdict for verdict in missing}
        waiting = []
    for verdict in run_cells(waiting, options.lanes):
        verdicts[verdict.fault, verdict.step] = verdict
        with KEPT.open("a") as file:
            file.write(json.dumps(asdict(verdict)) + "\n")
        print(_told(verdict), flush=True)
    found = [verdicts[scenario.fault, step] for scenario, step in chosen]
    return write_record(
        options.output,
        title="Faults",
        explanation=EXPLANATION,
        rows=list(_rows(found)),
        floors=floors(found),
        command=shlex.join(["python", "-m", "benchmarks.reliability.faults", *arguments]),
        not_run=sorted({f"{one.fault}, {one.step}: {one.not_run}" for one in found if one.not_run}),
    )


def _is_chosen(only: Sequence[str] | None, scenario: Scenario, step: str) -> bool:
    """Return whether the names choose a cell: its group or fault where one is named, and its step where one is."""
    if not only:
        return True
    steps = [name for name in only if name in STEPS]
    faults = [name for name in only if name not in STEPS]
    return (not steps or step in steps) and (
        not faults or bool({scenario.group, scenario.fault} & set(faults))
    )


def _known() -> Iterator[Verdict]:
    if KEPT.exists():
        for line in KEPT.read_text().splitlines():
            yield Verdict(**json.loads(line))


def _told(verdict: Verdict) -> str:
    what = f"{verdict.fault} / {verdict.step}"
    if verdict.not_run:
        return f"not run    {what}: {verdict.not_run}"
    return f"{verdict.outcome:<10} {what}  {verdict.seconds:.0f} s  {verdict.line}".rstrip()


def run_cells(chosen: Sequence[Chosen], lanes: int) -> Iterator[Verdict]:
    """Run cells side by side, and yield the verdicts as they come."""
    if not chosen:
        return
    with (
        tempfile.TemporaryDirectory() as work,
        opened_lanes(Path(work), lanes, REFERENCE.absolute()) as (reference, free),
        ThreadPoolExecutor(lanes) as pool,
    ):
        for ended in as_completed(
            pool.submit(run_cell, cell, reference, free, Path(work)) for cell in chosen
        ):
            yield ended.result()


@contextmanager
def opened_lanes(
    work: Path, count: int, kept: Path, steps: Collection[str] = STEPS
) -> Iterator[tuple[Reference, "queue.Queue[Lane]"]]:
    """Start servers, and do the run without faults that the cells of `steps` are compared with, unless it is kept."""
    import_steps()
    free: queue.Queue[Lane] = queue.Queue()
    known = Reference.load(kept)
    reference = known or Reference(kept)
    with ExitStack() as stack:
        for number in range(count):
            lane = stack.enter_context(open_lane(work / f"lane-{number}"))
            if number or known:
                reference.add_lane(lane)
            else:
                shutil.rmtree(kept, ignore_errors=True)
                reference.make(lane, steps)
            free.put(lane)
        yield reference, free


def run_cell(chosen: Chosen, reference: Reference, free: "queue.Queue[Lane]", work: Path) -> Verdict:
    """Run a cell in a lane that is free."""
    scenario, step = chosen
    lane, name = free.get(), f"{step}-{time.monotonic_ns()}"
    cell = Cell(scenario, step, lane, reference, work / name)
    try:
        if scenario.twice:
            verdict = cell.verdict_beside(Cell(scenario, step, lane, reference, work / f"{name}-too"))
        else:
            verdict = cell.verdict()
    except NotRunError as error:
        return Verdict(scenario.fault, step, not_run=str(error))
    finally:
        free.put(lane)
    if verdict.outcome not in {"same", "late"}:
        log = f"{verdict.outcome}-{scenario.fault}-{step}.log".replace(" ", "-")
        (reference.directory.parent / log).write_text("\n".join(cell.outputs))
    return verdict


def import_steps() -> None:
    """Start the process that the steps are forked from, without the variables that name somebody's servers."""
    import multiprocessing
    from multiprocessing import forkserver

    for name in environment():
        if name.startswith(("MLFLOW_", "S3_", "AWS_", "OPTUNA_", "CHECKPOINT_")):
            withdraw(name)
    keras = ["keras"] if onednn_is_decided() else []
    modules = ["pipelines.local.imported", "benchmarks.reliability.attempt", *keras]
    multiprocessing.set_forkserver_preload(modules)
    forkserver.ensure_running()


def _rows(verdicts: Sequence[Verdict]) -> Iterator[dict[str, Any]]:
    """Yield a row for each fault, with the outcome of each step, and one of the counts."""
    for fault in dict.fromkeys(verdict.fault for verdict in verdicts):
        cells = {verdict.step: verdict for verdict in verdicts if verdict.fault == fault}
        yield {"fault": fault, **{step: _shown(cells.get(step)) for step in STEPS}}
    counts = {name: sum(one.outcome == name and not one.not_run for one in verdicts) for name in OUTCOMES}
    print(", ".join(f"{name} {count}" for name, count in counts.items()))


def _shown(verdict: Verdict | None) -> str:
    if verdict is None:
        return "·"
    return "not run" if verdict.not_run else verdict.outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
