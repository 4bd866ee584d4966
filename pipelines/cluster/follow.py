"""Progress of a run on the server."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from pipelines.cluster.connection import Cluster
from pipelines.cluster.errors import cause, message_of

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

POLL_SECONDS = 5.0
# A server that is restarted, or a network that changes, must not end a wait of hours.
PATIENCE_SECONDS = 300.0
FINAL = {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"}
STATES = {"PENDING", "RUNNING", *FINAL}
Show = Callable[[str], None]


def follow(cluster: Cluster, run_id: str, steps: Mapping[str, str], show: Show) -> str:
    """Show every change of a step's state until the run ends, and return the run's last state.

    Args:
        cluster: The server.
        run_id: The run's id.
        steps: Names of the tasks to show, and the names to show them by.
        show: Called with one line at a time.

    Raises:
        PipelineError: The server does not answer any more, or refuses; the run itself goes on.
    """
    shown: dict[str, str] = {}
    while True:
        run = _patiently(cluster, run_id, show)
        for task in _tasks(run, steps):
            if shown.get(task.task_id) != task.state:
                shown[task.task_id] = task.state
                show(f"{task.state.lower():10} {steps[task.display_name]}{_seconds(task)}{_error(task)}")
        if run.state in FINAL:
            show(f"the run has {run.state.lower()}{_error(run)}{_failed_drivers(run)}")
            return str(run.state)
        time.sleep(POLL_SECONDS)


def _patiently(cluster: Cluster, run_id: str, show: Show) -> "V2beta1Run":
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return cluster.client.get_run(run_id)
        except (ApiException, HTTPError) as error:
            status = getattr(error, "status", None) or 0
            reason = message_of(error) if isinstance(error, ApiException) else cause(error)
            if 400 <= status < 500 or time.monotonic() > deadline:
                raise PipelineError(
                    f"the run goes on, but Kubeflow does not report on it any more ({reason}): "
                    f"look at its page ({cluster.link(f'runs/details/{run_id}')})."
                ) from error
            show(f"waiting    Kubeflow does not answer: {reason}")
            time.sleep(POLL_SECONDS)
            cluster.reconnect()


def _tasks(run: "V2beta1Run", steps: Mapping[str, str]) -> list[Any]:
    """Return the tasks by start time; tasks without a known state are left out."""
    tasks = (run.run_details and run.run_details.task_details) or ()
    known = (task for task in tasks if task.display_name in steps and task.state in STATES)
    return sorted(known, key=_started)


def _started(task: Any) -> float:
    """Return the second of the start; the server gives every task the run's time of creation."""
    return task.start_time.timestamp() if isinstance(task.start_time, datetime) else 0.0


def _seconds(task: Any) -> str:
    """Return the seconds that an ended task took; the server gives an unknown end as the year 1 or 1970."""
    if task.state not in FINAL or not task.start_time or not task.end_time:
        return ""
    seconds = (task.end_time - task.start_time).total_seconds()
    return f"  {seconds:.0f} s" if seconds >= 0 else ""


def _error(of: Any) -> str:
    return f": {of.error.message.strip().splitlines()[-1]}" if of.error and of.error.message else ""


def _failed_drivers(run: "V2beta1Run") -> str:
    """Name the failed pods that Kubeflow runs before steps; no step has failed then, and none reports the reason."""
    tasks = (run.run_details and run.run_details.task_details) or ()
    names = {task.display_name.partition("(")[0] for task in tasks if task.state == "FAILED"}
    drivers = sorted(name for name in names if name.endswith("-driver"))
    return f" in Kubeflow's own {', '.join(drivers)}: the log of that pod says why" if drivers else ""
