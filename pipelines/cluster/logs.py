"""Logs of a run's steps, which Kubeflow reads from their pods."""

import io
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO, cast

from components.common.errors import PipelineError
from pipelines.cluster.connection import READ_SECONDS, Cluster
from pipelines.cluster.errors import explained
from pipelines.cluster.workflow import Pod, first_failed, is_driver, pods_of
from pipelines.compat.kfp_client import api_client_of, streamed_text

# The API server of Kubeflow answers a log that it cannot read with status 200 and this.
ERROR_OF_SERVER = '{"error_message"'
# Characters of a server's reason that are shown.
MOST_SAID = 300
Show = Callable[[str], None]


def show_log(cluster: Cluster, run_id: str, step: str | None, tail: int, show: Show) -> None:
    """Show the last lines of a step, by default of the one that failed first, else of the one that started last.

    Args:
        cluster: The server.
        run_id: The run's id.
        step: The task's name in the pipeline; a loop's tasks share one, and all are shown.
        tail: How many lines of each at most.
        show: Called with one line at a time.

    Raises:
        PipelineError: The run has no such step, or Kubeflow no longer has its log.
    """
    pods = pods_of(cluster, run_id)
    for pod in _chosen(cluster, run_id, pods, step):
        show(f"{pod.step}  {pod.phase.lower()}{f': {pod.message}' if pod.message else ''}  pod {pod.name}")
        for line in pod_log(cluster, run_id, pod, tail):
            show(line)


def show_failure(cluster: Cluster, run_id: str, steps: Mapping[str, str], tail: int, show: Show) -> None:
    """Show the last lines of the step that failed first; where they cannot be had, say why.

    Args:
        cluster: The server.
        run_id: The run's id.
        steps: Names of the tasks, and the names to show them by.
        tail: How many lines at most.
        show: Called with one line at a time.
    """
    try:
        with explained(cluster.host):
            pod = first_failed(pods_of(cluster, run_id))
            if pod is None:
                return
            lines = pod_log(cluster, run_id, pod, tail)
    except PipelineError as error:
        show(f"no log: {error}")
        return
    show(f"the last lines of {steps.get(pod.step, pod.step)}, pod {pod.name}:")
    for line in lines:
        show(f"  {line}")


def _chosen(cluster: Cluster, run_id: str, pods: list[Pod], step: str | None) -> list[Pod]:
    if step is not None:
        found = [pod for pod in pods if pod.step == step]
        if not found:
            names = ", ".join(dict.fromkeys(pod.step for pod in pods if not is_driver(pod))) or "none"
            raise PipelineError(
                f"--step must be a step that has started but {step!r} is none (there is: {names}): choose one of them."
            )
        return found
    if failed := first_failed(pods):
        return [failed]
    started = [pod for pod in pods if pod.started and not is_driver(pod)]
    if not started:
        raise PipelineError(
            f"a step of the run must have started but none has: look at the run's page "
            f"({cluster.link(f'runs/details/{run_id}')})."
        )
    return started[-1:]


def pod_log(cluster: Cluster, run_id: str, pod: Pod, tail: int) -> Sequence[str]:
    """Return the last lines of a pod's container.

    Kubeflow's UI has them, and looks in Argo's archive where the pod is gone. The API server, asked where the UI has
    none, looks in its own archive.

    Raises:
        PipelineError: Kubeflow has no log of the pod.
    """
    of_ui = {"podname": pod.name, "runid": run_id}
    if cluster.namespace:
        of_ui["podnamespace"] = cluster.namespace
    api = api_client_of(cluster.client).configuration.host
    pages: list[tuple[str, dict[str, str]]] = [
        (f"{cluster.host}/k8s/pod/logs", of_ui),
        (f"{api}/apis/v1alpha1/runs/{run_id}/nodes/{pod.name}/log", {}),
    ]
    reasons = []
    for url, query in pages:
        with streamed_text(cluster.client, url, query, READ_SECONDS) as response:
            text = io.TextIOWrapper(cast("IO[bytes]", response), encoding="utf-8", errors="replace")
            page = "html" in response.headers.get("Content-Type", "")
            if response.status != 200 or page:
                said = "a page that is no log" if page else text.read(MOST_SAID).strip()
                reasons.append(f"HTTP {response.status}: {said}")
                continue
            lines = deque((line.rstrip("\r\n") for line in text), maxlen=tail)
        if not lines or not lines[-1].startswith(ERROR_OF_SERVER):
            return list(lines)
        reasons.append(str(json.loads(lines[-1])["error_message"]))
    raise PipelineError(
        f"Kubeflow must have the log of pod {pod.name} but has not ({_first_lines(reasons)}): logs outlive their pods "
        "only where Argo archives them (archiveLogs); the steps' own records are in MLflow."
    )


def _first_lines(reasons: Sequence[str]) -> str:
    return "; ".join(reason.partition("\n")[0][:MOST_SAID] for reason in reasons)
