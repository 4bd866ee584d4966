"""`python -m benchmarks.reliability.load`: many clients, runs, trials, versions, models and objects at once."""

import argparse
import http.client
import json
import shlex
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.prepare import prepare
from benchmarks.process import call
from benchmarks.reliability.command import must_say
from benchmarks.reliability.faults import import_steps
from benchmarks.reliability.lane import Lane, open_lane
from benchmarks.reliability.record import write_record
from benchmarks.reliability.reference import client, open_run
from benchmarks.serving import running_server
from components.common.model.aliases import CHAMPION
from components.common.provenance import git_sha
from components.common.settings import export
from components.common.storage.s3 import DEFAULT_BUCKET
from pipelines.local.mlflow_api import call_mlflow
from pipelines.local.process import free_port

EXPLANATION = (
    "Each row is one kind of load on the embedded servers or on `mnist-pipeline serve`, on one machine with its "
    "clients. Versions, models and objects were made by requests of this programme; what is measured is how the "
    "project's own code lists, moves and reads them."
)
CLIENTS = (1, 4, 16, 64)
MODEL = "loaded"


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    serve_seconds: float = 10.0
    runs: int = 50
    records: int = 100
    trials: int = 1000
    versions: int = 2000
    moves: int = 20
    models: int = 1001
    objects: int = 100_000


QUICK = Size(serve_seconds=0.5, runs=4, records=5, trials=10, versions=5, moves=2, models=3, objects=50)


@dataclass(frozen=True)
class Loaded:
    """One kind of load.

    Attributes:
        what: The load in words.
        found: What was measured, in words.
        seconds: How long the load took.
        errors: Requests, records or entries that failed, are missing or double.
    """

    what: str
    found: str
    seconds: float
    errors: int = 0


def serving(work: Path, size: Size) -> Iterator[Loaded]:
    """Ask `serve` from more and more clients; 429 and 503 are refusals, not errors."""
    development, test = prepare(work, "digits")
    model = str(work / "model")
    call("benchmarks.training:train_once", str(development), "fast", {"epochs": 1, "min_steps": 0}, model)
    call("benchmarks.serving:package_for_both", model, str(development))
    port = free_port()
    command = [sys.executable, "-m", "pipelines.cli.main", "serve", "--directory", model, "--port", str(port)]
    # The lane's variables name keys, and nobody has signed this model.
    command.append("--allow-unsigned")
    with running_server(command, port) as (process, _):
        for clients in CLIENTS:
            arguments = (port, str(test), size.serve_seconds, clients)
            value = call("benchmarks.reliability.load:ask_serve", *arguments).value
            times, refused = value["times"], value["refused"]
            found = (
                f"p50 {statistics.median(times) * 1e3:.1f} ms, p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms, "
                f"{len(times) / value['seconds']:.0f} images/s, {refused} refused"
            )
            yield Loaded(f"serve, {clients} clients", found, value["seconds"], value["errors"])
        if process.poll() is not None:
            raise RuntimeError("serve must go on but has ended")


def ask_serve(port: int, test: str, seconds: float, clients: int) -> dict[str, Any]:
    """Ask from so many threads for one image a request; return the seconds of the answers, sorted, and the counts."""
    from components.common.data.dataset import open_split

    body = json.dumps({"inputs": open_split(Path(test), "test").images[:1].tolist()}).encode()
    times: list[float] = []
    counts: Counter[str] = Counter()
    end = time.perf_counter() + seconds

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (started := time.perf_counter()) < end:
            try:
                connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                counts["errors"] += 1
                connection.close()
                continue
            if answer.status == 200:
                times.append(time.perf_counter() - started)
            else:
                counts["refused" if answer.status in {429, 503} else "errors"] += 1

    _at_once(ask, clients)
    return {
        "times": sorted(times),
        "seconds": seconds,
        "refused": counts["refused"],
        "errors": counts["errors"],
    }


def _at_once(work: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def logging_runs(lane: Lane, size: Size) -> Iterator[Loaded]:
    """Log from many runs at once, and count what the server has afterwards."""
    from components.common.tracking.tree import open_step_run

    names = [f"load-{number}" for number in range(size.runs)]
    for name in names:
        open_run(lane.tracking_uri, name)

    def log(name: str) -> str:
        run = open_step_run(name, "load")
        for step in range(size.records):
            run.log_metrics({"loss": 1 / (step + 1)}, step)
        run.close()
        run.end(60)
        return run.run_id

    started = time.monotonic()
    with ThreadPoolExecutor(size.runs) as pool:
        run_ids = list(pool.map(log, names))
    seconds = time.monotonic() - started
    kept = 0
    for run_id in run_ids:
        query = f"metrics/get-history?run_id={run_id}&metric_key=loss&max_results=10000"
        kept += len(call_mlflow(lane.tracking_uri, query).get("metrics", ())) if run_id else 0
    wanted = size.runs * size.records
    yield Loaded(
        f"{size.runs} runs that log at once", f"{wanted / seconds:.0f} records/s", seconds, wanted - kept
    )


def trials(work: Path, size: Size) -> Iterator[Loaded]:
    """Work on one study of many trials with four workers whose trainings take no time."""
    found = call("benchmarks.reliability.load:search_without_training", str(work), size.trials)
    journal = work / "journal.log"
    value = found.value
    yield Loaded(
        f"{size.trials} trials in one study, 4 workers",
        f"{journal.stat().st_size / 1e6:.1f} MB of journal, opened in {value['open']:.1f} s",
        value["seconds"],
        value["missing"] + value["twice"],
    )


def search_without_training(work: str, count: int) -> dict[str, float]:
    """Score every trial of a new study once, from four threads with the claims of workers; return the figures."""
    import optuna

    from benchmarks.reliability.steps import run_plan
    from components.tune.study import claims, open_study, storage

    export({"OPTUNA_STORAGE": str(Path(work, "journal.log"))})
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    plan = run_plan("load", "digits")
    from components.common.plan.space import SEARCH_SPACE

    started = time.monotonic()
    open_study("load", _trained(plan), SEARCH_SPACE, count, 1, 1)
    scored: Counter[int] = Counter()
    lock = threading.Lock()

    def worker() -> None:
        from components.tune.study import SearchRecord

        record, claimed = (
            SearchRecord(optuna.load_study(study_name="load", storage=storage()), images=1000),
            claims(),
        )
        for number in range(1, count):
            with claimed.claim(f"load-{number}") as mine:
                if not mine or record.known()[number].scores:
                    continue
                record.start(number)
                record.score(number, 1, 1 / number)
                with lock:
                    scored[number] += 1

    _at_once(worker, 4)
    seconds = time.monotonic() - started
    opened = time.monotonic()
    optuna.load_study(study_name="load", storage=storage()).get_trials(deepcopy=False)
    return {
        "seconds": seconds,
        "open": time.monotonic() - opened,
        "missing": count - 1 - len(scored),
        "twice": sum(scored.values()) - len(scored),
    }


def _trained(plan: Any) -> Any:
    """Return a record of a training that was not done."""
    from types import SimpleNamespace

    return SimpleNamespace(config=plan.training.model_dump(mode="json"), validation_accuracy=0.5, seconds=0.0)


def registry(lane: Lane, size: Size) -> Iterator[Loaded]:
    """Register versions, move the champion to each, and read the lists by the command line.

    Only the last moves look at the list: 2,000 moves by as many commands would take an hour.
    """
    from mlflow import MlflowClient

    from components.register.journal import (
        APPLIED_TAG,
        append_move,
        champion_of,
        entry_digest,
        move_champion,
        read_moves,
    )

    uri = lane.tracking_uri
    call_mlflow(uri, "registered-models/create", {"name": MODEL})
    for _ in range(size.versions):
        call_mlflow(uri, "model-versions/create", {"name": MODEL, "source": f"s3://{DEFAULT_BUCKET}/nothing"})
    export({"MLFLOW_TRACKING_URI": uri})
    mlflow = MlflowClient()
    move = {"action": "promote", "who": "load", "why": ""}
    before, previous, looking = "", "", size.versions - size.moves
    for number in range(1, looking + 1):
        after = {"before": before, "after": str(number), "previous": previous, APPLIED_TAG: "true"}
        previous, before = entry_digest(append_move(mlflow, MODEL, **move, **after)), str(number)
    mlflow.set_registered_model_alias(MODEL, CHAMPION, before)
    started = time.monotonic()
    for number in range(looking + 1, size.versions + 1):
        move_champion(mlflow, MODEL, before=before, after=str(number), **move)
        before = str(number)
    seconds = time.monotonic() - started
    moves = read_moves(mlflow, MODEL)
    wrong = sum(not move.counts or bool(move.problem) for move in moves)
    wrong += size.versions - len(moves) + (champion_of(moves) != before)
    found = f"the last {size.moves} moves {seconds / size.moves:.1f} s each"
    yield Loaded(f"{size.versions} versions and moves", found, seconds, wrong)
    yield from _commands(lane, size.versions)


def _commands(lane: Lane, versions: int) -> Iterator[Loaded]:
    changes = {"MLFLOW_TRACKING_URI": lane.tracking_uri}
    commands = (
        ("models", "list"),
        ("models", "list", "--limit", str(versions)),
        ("models", "show", "champion"),
        ("models", "history"),
    )
    for command in commands:
        started = time.monotonic()
        said = must_say(lane.home.path, *command, "--model", MODEL, "--json", changes=changes).last_json
        seconds = time.monotonic() - started
        listed = said.get("versions") or said.get("moves")
        wanted = 50 if command == ("models", "list") else versions
        missing = min(wanted, versions) - len(listed) if listed is not None else 0
        yield Loaded(f"`{' '.join(command)}` of these", f"{seconds:.1f} s", seconds, missing)


def models(lane: Lane, size: Size) -> Iterator[Loaded]:
    """Find the last of many registered models."""
    from mlflow import MlflowClient

    from components.register.steer import find_model

    for number in range(size.models):
        call_mlflow(lane.tracking_uri, "registered-models/create", {"name": f"model-{number:05}"})
    export({"MLFLOW_TRACKING_URI": lane.tracking_uri})
    started, wanted = time.monotonic(), f"model-{size.models - 1:05}"
    found = find_model(MlflowClient(), wanted)
    seconds = time.monotonic() - started
    yield Loaded(f"{size.models} registered models", "the last one was found", seconds, int(found != wanted))


def objects(lane: Lane, size: Size) -> Iterator[Loaded]:
    """List many objects below a prefix; small ones are stored by requests, from 16 clients."""
    from components.common.storage.object_store import ObjectStore

    s3 = client(lane)

    def put(number: int) -> None:
        s3.put_object(Bucket=DEFAULT_BUCKET, Key=f"many/{number:06}", Body=b"x")

    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(size.objects)))
    stored = time.monotonic() - started
    export(lane.variables)
    started = time.monotonic()
    keys = ObjectStore(DEFAULT_BUCKET, f"http://127.0.0.1:{lane.store_port}").keys("many/")
    seconds = time.monotonic() - started
    yield Loaded(
        f"{size.objects} objects below a prefix",
        f"listed in {seconds:.1f} s; stored at {size.objects / stored:.0f} objects/s",
        stored + seconds,
        abs(size.objects - len(set(keys))),
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.load", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="check that all of it works")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=list(PARTS),
        metavar="NAME",
        help="do some parts, and keep the rows of the others",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/reliability-load.json"))
    options = parser.parse_args(arguments)
    size, rows = QUICK if options.quick else Size(), _rows_of_others(options.output, options.only)
    import_steps()
    with tempfile.TemporaryDirectory() as work, open_lane(Path(work, "lane"), with_postgres=False) as lane:
        export(lane.variables)
        for name in options.only:
            place = Path(work, name)
            place.mkdir()
            for loaded in PARTS[name](lane, place, size):
                print(f"{loaded.what}: {loaded.found}, {loaded.errors} errors", flush=True)
                rows.append(
                    {
                        "part": name,
                        "load": loaded.what,
                        "found": loaded.found,
                        "seconds": f"{loaded.seconds:.1f}",
                        "errors": loaded.errors,
                        "commit": git_sha()[:7],
                    }
                )
    errors = sum(row["errors"] for row in rows)
    return write_record(
        options.output,
        title="Load",
        explanation=EXPLANATION,
        rows=sorted(rows, key=lambda row: list(PARTS).index(row["part"])),
        floors=[{"floor": "errors, missing and double: 0", "measured": str(errors), "met": errors == 0}],
        command=shlex.join(["python", "-m", "benchmarks.reliability.load", *arguments]),
        not_run=[part for part in PARTS if part not in {row["part"] for row in rows}],
    )


def _rows_of_others(record: Path, parts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of an earlier record but those of some parts."""
    rows = json.loads(record.read_text())["rows"] if record.exists() else []
    return [row for row in rows if row["part"] not in parts]


PARTS: dict[str, Callable[[Lane, Path, Size], Iterator[Loaded]]] = {
    "serve": lambda _, work, size: serving(work, size),
    "runs": lambda lane, _, size: logging_runs(lane, size),
    "trials": lambda _, work, size: trials(work, size),
    "registry": lambda lane, _, size: registry(lane, size),
    "models": lambda lane, _, size: models(lane, size),
    "objects": lambda lane, _, size: objects(lane, size),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
