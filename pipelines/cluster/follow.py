"""Follow a run on the server to its end."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from pipelines.cluster.connection import Cluster
from pipelines.cluster.errors import message_of

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

POLL_SECONDS = 5.0
# A server that is restarted, or a network that changes, must not end a wait of hours.
PATIENCE_SECONDS = 300.0
FINAL = {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"}
Tell = Callable[[str], None]


def follow(cluster: Cluster, run_id: str, steps: Mapping[str, str], tell: Tell) -> str:
    """Tell every change of a step's state until the run ends, and return the run's last state.

    Args:
        cluster: The server.
        run_id: The run's id.
        steps: Names of the tasks to tell about, and what to call them.
        tell: Given one line at a time.

    Raises:
        PipelineError: The server does not answer any more, or refuses; the run itself goes on.
    """
    told: dict[tuple[str, int], str] = {}
    while True:
        run = _patiently(cluster, run_id, tell)
        for key, task in _tasks(run, steps).items():
            if told.get(key) != task.state and task.state:
                told[key] = task.state
                tell(f"{task.state.lower():10} {steps[key[0]]}{_seconds(task)}{_error(task)}")
        if run.state in FINAL:
            tell(f"the run has {run.state.lower()}{_error(run)}")
            return str(run.state)
        time.sleep(POLL_SECONDS)


def _patiently(cluster: Cluster, run_id: str, tell: Tell) -> "V2beta1Run":
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return cluster.client.get_run(run_id)
        except (ApiException, HTTPError) as error:
            status = getattr(error, "status", None) or 0
            reason = message_of(error) if isinstance(error, ApiException) else str(error).rpartition(": ")[2]
            if 400 <= status < 500 or time.monotonic() > deadline:
                raise PipelineError(
                    f"the run goes on, but Kubeflow does not tell about it any more ({reason}): "
                    f"look at {cluster.link(f'runs/details/{run_id}')}"
                ) from error
            tell(f"waiting    Kubeflow does not answer: {reason}")
            time.sleep(POLL_SECONDS)


def _tasks(run: "V2beta1Run", steps: Mapping[str, str]) -> dict[tuple[str, int], Any]:
    """Return the run's tasks by name and number; a loop runs the same task several times."""
    by_name = defaultdict(list)
    for task in (run.run_details and run.run_details.task_details) or ():
        if task.display_name in steps:
            by_name[task.display_name].append(task)
    ordered = {
        (name, number): task
        for name, tasks in by_name.items()
        for number, task in enumerate(sorted(tasks, key=_started))
    }
    return dict(sorted(ordered.items(), key=lambda item: _started(item[1])))


def _started(task: Any) -> float:
    return task.create_time.timestamp() if isinstance(task.create_time, datetime) else 0.0


def _seconds(task: Any) -> str:
    """Return how long an ended task took; an unknown end is the year 1970."""
    if task.state not in FINAL or not task.start_time or not task.end_time:
        return ""
    seconds = (task.end_time - task.start_time).total_seconds()
    return f"  {seconds:.0f} s" if seconds >= 0 else ""


def _error(of: Any) -> str:
    return f": {of.error.message.strip().splitlines()[-1]}" if of.error and of.error.message else ""
