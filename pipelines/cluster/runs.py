"""`mnist-pipeline runs` on Kubeflow: its runs, found by name or id."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError, StatedError
from components.common.settings import settings
from pipelines.candidates import chosen
from pipelines.cluster.connection import Cluster
from pipelines.cluster.follow import FINAL
from pipelines.cluster.lookup import MOST, experiment_id, predicates
from pipelines.cluster.workflow import is_driver, pods_of

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

STOP_SECONDS = 120.0
POLL_SECONDS = 1.0
Show = Callable[[str], None]


def cluster_runs(cluster: Cluster, limit: int, experiment: str | None = None) -> list[dict[str, Any]]:
    """Return descriptions of the latest runs, newest first; with `experiment`, those in it.

    Raises:
        PipelineError: There is no such experiment.
    """
    within = experiment_id(cluster, experiment, create=False) if experiment else None
    found: list[V2beta1Run] = []
    token = ""
    while len(found) < limit:
        listed = cluster.client.list_runs(
            page_token=token,
            page_size=min(MOST, limit - len(found)),
            sort_by="created_at desc",
            experiment_id=within,
            namespace=cluster.namespace,
        )
        found += listed.runs or []
        token = listed.next_page_token
        if not token:
            break
    return [_described(cluster, run) for run in found]


def find_cluster_run(cluster: Cluster, named: str) -> "V2beta1Run":
    """Return the run with this name or id, or the only one whose name or id begins so.

    Raises:
        PipelineError: There is none, or there are several.
    """
    runs = {}
    for key in ("display_name", "run_id"):
        listed = cluster.client.list_runs(
            page_size=MOST,
            sort_by="created_at desc",
            namespace=cluster.namespace,
            filter=predicates((key, "contains", named)),
        )
        runs.update({run.run_id: run for run in listed.runs or []})
    identity = chosen(
        named, {run.run_id: run.display_name for run in runs.values()}, "mnist-pipeline runs list --cluster"
    )
    return runs[identity]


def describe_cluster_run(cluster: Cluster, run: "V2beta1Run") -> dict[str, Any]:
    """Return the description of a run, with its steps and its parameters."""
    steps = {
        f"step {pod.step}": f"{pod.phase.lower()}{f': {pod.message}' if pod.message else ''}"
        for pod in pods_of(cluster, run.run_id)
        if not is_driver(pod)
    }
    parameters = (run.runtime_config and run.runtime_config.parameters) or {}
    return {**_described(cluster, run), **steps, **dict(sorted(parameters.items()))}


def stop_cluster_run(cluster: Cluster, run: "V2beta1Run") -> None:
    """End a run at once, and wait for its end; close its run in MLflow, where this process knows that server.

    Raises:
        PipelineError: The run has ended before, or does not end within two minutes.
    """
    if run.state in FINAL:
        raise PipelineError(
            f"a run must be in progress to be stopped but {run.display_name!r} has {run.state.lower()}: choose another."
        )
    cluster.client.terminate_run(run.run_id)
    deadline = time.monotonic() + STOP_SECONDS
    while cluster.client.get_run(run.run_id).state not in FINAL:
        if time.monotonic() > deadline:
            raise PipelineError(
                f"run {run.display_name!r} must end when it is told to but has not within {STOP_SECONDS:.0f} s: "
                f"look at its page ({cluster.link(f'runs/details/{run.run_id}')})."
            )
        time.sleep(POLL_SECONDS)


def close_in_mlflow(run_id: str) -> str:
    """Mark a stopped run as KILLED in MLflow, which no exit handler does; return what became of it, in words."""
    from pipelines.local.mlflow_api import close_run_of

    if not (tracking_uri := settings().mlflow_tracking_uri):
        return "its run in MLflow stays open: give MLFLOW_TRACKING_URI to have it closed"
    try:
        closed = close_run_of(tracking_uri, run_id)
    except StatedError as error:
        return f"its run in MLflow stays open: {error}"
    return "its run in MLflow is closed" if closed else "it has no open run in MLflow"


def retry_cluster_run(cluster: Cluster, run: "V2beta1Run") -> None:
    """Run again the steps of a failed or stopped run that did not succeed.

    Raises:
        PipelineError: The run goes on, or has succeeded.
    """
    if run.state not in {"FAILED", "CANCELED"}:
        raise PipelineError(
            f"a run must have failed or been stopped to be retried but {run.display_name!r} is "
            f"{(run.state or 'unknown').lower()}: choose another, or start a new one."
        )
    cluster.client.runs.run_service_retry_run(run.run_id)


def _described(cluster: Cluster, run: "V2beta1Run") -> dict[str, Any]:
    started, finished = _time(run.created_at), _time(run.finished_at)
    if finished is None and run.state not in FINAL:
        finished = datetime.now(UTC)
    return {
        "run": run.display_name,
        "id": run.run_id,
        "started": started and f"{started.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        "seconds": round((finished - started).total_seconds(), 1) if started and finished else None,
        "state": run.state,
        "error": (run.error and run.error.message) or None,
        "link": cluster.link(f"runs/details/{run.run_id}"),
    }


def _time(value: Any) -> datetime | None:
    """Return a time; the server gives an unknown one as the year 1 or 1970."""
    return value if isinstance(value, datetime) and value.timestamp() > 0 else None
