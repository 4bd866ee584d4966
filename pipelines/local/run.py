"""`mnist-pipeline run`: the whole pipeline on this machine."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from components.common.errors import PipelineError, StatedError, UnavailableError
from components.common.settings import environment, export, leave_other_runs, settings
from components.common.storage.address import shown
from components.common.storage.files import delete_path, written_file
from pipelines.local.clients import Client, registered_client, scan_clients
from pipelines.local.containers import check_engine
from pipelines.local.data import local_data, refuse_missing
from pipelines.local.disk import check_room
from pipelines.local.home import Home
from pipelines.local.mlflow_api import close_run_named
from pipelines.local.platform import Platform, embedded_platform
from pipelines.local.process import SupervisedProcess
from pipelines.local.progress import Progress
from pipelines.local.run_logs import LOG_SUFFIX, local_run_name
from pipelines.local.summary import Summary, summarize
from pipelines.parameters import Request

REPOSITORY = Path(__file__).parents[2]
KEPT_RUNS = 3
JOURNAL_SUFFIX = ".log"
# File of what a run was started with, in its directory.
WORK = "work.json"
MLFLOW_SECONDS = 60
Show = Callable[[str], None]
# Variables to set, the pipeline's arguments, and the directory for artifacts.
Start = Callable[[Mapping[str, str], dict[str, Any], Path], None]


@dataclass(frozen=True)
class Work:
    """What a run is started with.

    Attributes:
        name: The run's name.
        arguments: The pipeline's arguments.
        image: Runs the steps in containers of this image; "" for processes here.
    """

    name: str
    arguments: dict[str, Any]
    image: str

    def save(self, root: Path) -> None:
        """Keep it in the run's directory until the run has succeeded."""
        root.mkdir(parents=True, exist_ok=True)
        with written_file(root / WORK) as partial:
            partial.write_text(json.dumps(asdict(self)), encoding="utf-8")


def run_pipeline(home: Home, request: Request, show: Show, image: str | None = None) -> Summary:
    """Start the embedded platform, run the pipeline, and return the summary.

    Args:
        home: Keeps data, history and logs.
        request: The user's options.
        show: Called with every line for the terminal.
        image: Runs the steps in containers of this image; without one they are processes here.

    Raises:
        PipelineError: An argument breaks a rule, the platform does not start, or the engine has no such image.
    """
    plan = request.resolved().plan.data
    refuse_missing(plan)

    def work() -> Work:
        on_this_machine = request.on(*local_data(plan.source, show))
        return Work(on_this_machine.run_name(), on_this_machine.arguments(), image or "")

    return _run(home, image or "", work, show)


def retry_pipeline(home: Home, named: str, show: Show) -> Summary:
    """Go on with a run that failed or was stopped, as `run_pipeline` does; steps that succeeded are not run again.

    Args:
        home: Where the run was.
        named: Name or id of the run, or how it alone begins.
        show: Called with every line for the terminal.

    Raises:
        PipelineError: There is no such run, it goes on or has succeeded, or newer runs have taken its place.
    """
    name = local_run_name(home, named)
    image = _unfinished(home, name).image
    return _run(home, image, lambda: _unfinished(home, name), show)


def _unfinished(home: Home, name: str) -> Work:
    if home.clients.is_dir():
        with home.mutex():
            living, _ = scan_clients(home)
        if name in [client.run for client in living]:
            raise PipelineError(f"a run must have ended to be retried but {name} goes on: stop it first.")
    try:
        return Work(**json.loads((home.kfp / name / WORK).read_bytes()))
    except (OSError, ValueError, TypeError):
        raise PipelineError(
            f"a run must have failed or been stopped to be retried, and be one of the last {KEPT_RUNS}, but {name} is "
            "not: start a new one, which resumes a training that was interrupted."
        ) from None


def _run(home: Home, image: str, work: Callable[[], Work], show: Show) -> Summary:
    if left := leave_other_runs():
        show(
            f"{', '.join(left)} is not used: this run gets its own, in the experiment of registry.experiment"
        )
    if image:
        check_engine(image)
    check_room(home.path, show)
    home.prepare()
    with registered_client(home, queued=True) as client:
        client.wait_for_turn(show)
        started = time.monotonic()
        with _waiting_dag(client, image) as (dag, start), embedded_platform(home, client) as platform:
            export(platform.environment)
            given = work()
            client.announce(given.name)
            log = home.logs / f"{given.name}{LOG_SUFFIX}"
            show(f"run {given.name}")
            store = shown(platform.s3_endpoint_url)
            show(f"MLflow {shown(platform.tracking_uri)}  |  object store {store}  |  log {log}")
            root = _artifact_directory(home, given.name)
            given.save(root)
            own = {"MLFLOW_RUN_NAME": given.name, "OPTUNA_STORAGE": _journal(home, given.name)}
            start(platform.environment | own, given.arguments, root)
            progress = _follow(dag, platform, client, root, log, show)
            if progress.succeeded:
                (root / WORK).unlink()
            seconds = time.monotonic() - started
            return _summary(platform.tracking_uri, given.name, progress, seconds, _report(root), log)


@contextmanager
def _waiting_dag(client: Client, image: str | None) -> Iterator[tuple[SupervisedProcess, Start]]:
    """Start the DAG's process, which imports what it needs, while the platform starts too, and waits.

    It has a process group of its own, of which nothing is left running at the end. The client's lock stays with the
    group, so that the next run waits for its end even where this process is killed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        pipe = Path(scratch, "request")
        os.mkfifo(pipe)
        command = [sys.executable, "-u", "-m", "pipelines.local.execute", str(pipe), image or ""]
        given = environment({"PYTHONUNBUFFERED": "1"})

        # Open for reading too: so it opens at once, even where the process has ended.
        with (
            pipe.open("r+b", buffering=0) as request,
            SupervisedProcess(command, environment=given, directory=REPOSITORY, held=[client.lock]) as dag,
        ):

            def start(variables: Mapping[str, str], arguments: dict[str, Any], root: Path) -> None:
                request.write(json.dumps([variables, arguments, str(root)]).encode() + b"\n")

            yield dag, start


def _follow(
    dag: SupervisedProcess, platform: Platform, client: Client, root: Path, log: Path, show: Show
) -> Progress:
    """Show the DAG's progress to its end."""
    progress, name = Progress(), str(client.registration.run)
    with log.open("a", encoding="utf-8") as file:
        try:
            for line in progress.lines(_copied(dag, file)):
                show(line)
                if ("preprocess", "SUCCEEDED") in [(step.name, step.status) for step in progress.steps[-1:]]:
                    _delete_raw(root)
        except KeyboardInterrupt:
            dag.stop()
            # Where the embedded MLflow does not answer, the keeper closes the run later.
            with suppress(StatedError):
                close_run_named(platform.tracking_uri, name)
            raise
        progress.finish(dag.wait())
    if progress.succeeded:
        client.announce(None)
    return progress


def _summary(
    tracking_uri: str, name: str, progress: Progress, seconds: float, report: Path | None, log: Path
) -> Summary:
    """Return the summary; MLflow may be starting again at this moment."""
    deadline = time.monotonic() + MLFLOW_SECONDS
    while True:
        try:
            return summarize(tracking_uri, name, progress, seconds, report, log)
        except UnavailableError as error:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"MLflow at {shown(tracking_uri)} must answer for the summary of run {name} but does not "
                    f"({error}): the run has ended; read {log}."
                ) from error
        time.sleep(0.5)


def _copied(dag: SupervisedProcess, log: TextIO) -> Iterator[str]:
    for line in dag.lines():
        log.write(line)
        log.flush()
        yield line


def _delete_raw(root: Path) -> None:
    """Delete the raw data of a run, which only `preprocess` reads; the store has it too.

    Linux does not write to the disk what is deleted within seconds. The directory stays: where it is missing, kfp.local
    takes the task for unfinished.
    """
    for file in root.glob("*/ingest/raw/**/*"):
        if file.is_file():
            file.unlink()


def _artifact_directory(home: Home, name: str) -> Path:
    """Return the run's directory for artifacts, and delete artifacts and journals of all but the latest runs."""
    others = (path for path in home.kfp.iterdir() if path.name != name)
    earlier = sorted(others, key=lambda path: path.stat().st_mtime)
    dropped = max(0, len(earlier) - KEPT_RUNS + 1)
    # Beside a journal lie its lock, its claims and what was damaged in it.
    kept = (f"{name}{JOURNAL_SUFFIX}", *(f"{path.name}{JOURNAL_SUFFIX}" for path in earlier[dropped:]))
    journals = [path for path in home.optuna.iterdir() if not path.name.startswith(kept)]
    for path in (*earlier[:dropped], *journals):
        delete_path(path)
    return home.kfp / name


def _journal(home: Home, name: str) -> str:
    return settings().optuna_storage or str(home.optuna / f"{name}{JOURNAL_SUFFIX}")


def _report(root: Path) -> Path | None:
    """Return the report of a run, None where the run did not get there.

    kfp.local returns no outputs of a pipeline's tasks, only of the pipeline. It stores an output directory as
    ROOT/RUN/TASK/OUTPUT, with a new RUN for each attempt.
    """
    return max(root.glob("*/evaluate/evaluation/report.html"), key=lambda path: path.parents[3], default=None)
