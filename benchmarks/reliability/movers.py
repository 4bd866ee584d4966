"""`python -m benchmarks.reliability.movers`: many movers of one champion at once, some of them killed on the way."""

import argparse
import json
import multiprocessing
import os
import random
import shlex
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.reliability.faults import import_steps
from benchmarks.reliability.lane import Lane, open_lane
from benchmarks.reliability.record import write_record
from components.common.settings import export
from components.common.storage.s3 import DEFAULT_BUCKET
from pipelines.local.mlflow_api import call_mlflow

MODEL, VERSIONS = "moved", 5
MOVERS, MOVES = 8, 200
KILLED_SHARE = 0.2
# Requests of one move, from which the moment of a kill is drawn.
MOST_REQUESTS = 12
SEED = 20261129
MOVED, REFUSED, UNCHANGED, FAILED = 0, 10, 11, 12
EXPLANATION = (
    "Several movers at once, each a process for each move, set the champion of one registered model to a drawn "
    "version. One move in five is killed before a drawn request. A move that reports success must be in the list and "
    "count; at the end the alias must be where the list ends."
)


def move(variables: Mapping[str, str], version: str, killed_at: int, who: str) -> None:
    """Move the champion, in a process of its own; the exit status says what became of it."""
    from components.common.errors import PipelineError, first_line
    from components.register.journal import move_champion, settle

    export(variables)
    # Nobody reads what MLflow's client prints here.
    told, quiet = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    from mlflow import MlflowClient

    count = 0

    def hook(event: str, _: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "http.client.send":
            count += 1
            if count == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if killed_at:
        sys.addaudithook(hook)
    client = MlflowClient()
    try:
        before = settle(client, MODEL)
        moved = move_champion(
            client, MODEL, before=before, after=version, action="promote", who=who, why="drawn"
        )
    except PipelineError:
        sys.exit(REFUSED)
    except Exception as error:
        os.write(told, f"{who} failed: {type(error).__name__}: {first_line(error)}\n".encode())
        sys.exit(FAILED)
    sys.exit(MOVED if moved else UNCHANGED)


def mover(number: int, moves: int, variables: Mapping[str, str]) -> tuple[Counter[str], list[str]]:
    """Make moves one after the other; return how they ended, and the names of those that reported success."""
    draw = random.Random(SEED + number)  # noqa: S311
    ended: Counter[str] = Counter()
    succeeded = []
    for count in range(moves):
        killed_at = draw.randint(1, MOST_REQUESTS) if draw.random() < KILLED_SHARE else 0
        who = f"mover {number} move {count}"
        version = str(draw.randint(1, VERSIONS))
        process = multiprocessing.get_context("fork").Process(
            target=move, args=(variables, version, killed_at, who)
        )
        process.start()
        process.join()
        names = {MOVED: "moved", REFUSED: "refused", UNCHANGED: "unchanged", -signal.SIGKILL: "killed"}
        how = names.get(process.exitcode or 0, "failed")
        ended[how] += 1
        if how == "moved":
            succeeded.append(who)
    return ended, succeeded


def make_versions(lane: Lane) -> None:
    """Make the registered model with its versions."""
    call_mlflow(lane.tracking_uri, "registered-models/create", {"name": MODEL})
    for _ in range(VERSIONS):
        call_mlflow(
            lane.tracking_uri,
            "model-versions/create",
            {"name": MODEL, "source": f"s3://{DEFAULT_BUCKET}/nothing"},
        )


def final_state(variables: Mapping[str, str]) -> dict[str, Any]:
    """Settle the list; return the alias, the end of the list, and the authors of the moves that count."""
    export(variables)
    from mlflow import MlflowClient

    from components.register.journal import alias_champion, champion_of, read_moves, settle

    client = MlflowClient()
    settle(client, MODEL)
    moves = read_moves(client, MODEL)
    return {
        "alias": alias_champion(client, MODEL),
        "list": champion_of(moves),
        "entries": len(moves),
        "counted": [entry.who for entry in moves if entry.counts],
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.movers", description=__doc__)
    parser.add_argument("--movers", type=int, default=MOVERS)
    parser.add_argument("--moves", type=int, default=MOVES)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/reliability-movers.json"))
    options = parser.parse_args(arguments)
    import_steps()
    with tempfile.TemporaryDirectory() as work, open_lane(Path(work), with_postgres=False) as lane:
        make_versions(lane)
        began = time.monotonic()
        # Processes, not threads: of two threads that start processes, one may read the status of the other's.
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(options.movers, context) as pool:
            work_of = partial(mover, moves=options.moves, variables=dict(lane.variables))
            results = list(pool.map(work_of, range(options.movers)))
        seconds = time.monotonic() - began
        state = final_state(lane.variables)
    ended: Counter[str] = sum((counts for counts, _ in results), Counter())
    told = [who for _, names in results for who in names]
    lost = len(set(told) - set(state["counted"]))
    print(json.dumps(dict(ended)))
    row = {
        "movers": options.movers,
        "moves": sum(ended.values()),
        **{how: ended[how] for how in ("moved", "unchanged", "refused", "killed", "failed")},
        "entries in the list": state["entries"],
        "seconds": round(seconds),
    }
    floors = [
        {"floor": "moves that reported success and are lost: 0", "measured": str(lost), "met": lost == 0},
        {
            "floor": "moves that failed otherwise: 0",
            "measured": str(ended["failed"]),
            "met": not ended["failed"],
        },
        {
            "floor": "the alias is where the list ends",
            "measured": f"version {state['alias']}, list {state['list']}",
            "met": state["alias"] == state["list"],
        },
    ]
    return write_record(
        options.output,
        title="Movers of the champion",
        explanation=EXPLANATION,
        rows=[row],
        floors=floors,
        command=shlex.join(["python", "-m", "benchmarks.reliability.movers", *arguments]),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
