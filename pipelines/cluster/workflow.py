"""The pods of a run, as the workflow that Kubeflow keeps with it names them.

The API v2beta1 names no pods. The workflow in the answer of v1beta1 does, for runs of either version.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from components.common.errors import PipelineError
from pipelines.cluster.connection import Cluster
from pipelines.compat.kfp_client import api_client_of

FAILED = {"Failed", "Error"}
# After a name, the number of an attempt; and of an iteration of a loop, with what it iterates over.
ATTEMPT, ITERATION = re.compile(r"\(\d+\)"), re.compile(r"\(\d+:[^()]*\)")
# The task, below the one that the pipeline names, whose pod runs the step's container.
EXECUTOR = "executor"


@dataclass(frozen=True)
class Pod:
    """A pod that runs a step, or one of Kubeflow's own before it.

    Attributes:
        step: The task's name in the pipeline; that of a driver ends in "-driver".
        place: The task's path in the run, which attempts share and iterations of a loop do not.
        name: Name of the pod.
        phase: Argo's word: Pending, Running, Succeeded, Failed, Error, Skipped or Omitted.
        message: Why it failed, by Kubernetes; may be empty.
        started: Time of its start, in ISO format; empty before it.
        finished: Time of its end, in ISO format; empty before it.
    """

    step: str
    place: str
    name: str
    phase: str
    message: str
    started: str
    finished: str


def pods_of(cluster: Cluster, run_id: str) -> list[Pod]:
    """Return the last attempt's pod of each task of a run, in the order of their starts.

    Raises:
        PipelineError: Kubeflow keeps no readable workflow of the run.
    """
    found = api_client_of(cluster.client).call_api(
        "/apis/v1beta1/runs/{run_id}",
        "GET",
        path_params={"run_id": run_id},
        response_type="object",
        auth_settings=["Bearer"],
        _return_http_data_only=True,
    )
    manifest = (found.get("pipeline_runtime") or {}).get("workflow_manifest")
    try:
        return latest_pods(json.loads(manifest or "{}"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"Kubeflow must keep the workflow of run {run_id} but what it keeps cannot be read ({error!r}): "
            f"look at the run's page ({cluster.link(f'runs/details/{run_id}')})."
        ) from error


def latest_pods(workflow: dict[str, Any]) -> list[Pod]:
    """Return the last attempt's pod of each task in an Argo workflow, in the order of their starts."""
    nodes = ((workflow.get("status") or {}).get("nodes") or {}).values()
    pods = [_pod(workflow["metadata"], node) for node in nodes if node["type"] == "Pod"]
    latest = {pod.place: pod for pod in sorted(pods, key=_start)}
    return sorted(latest.values(), key=_start)


def first_failed(pods: Iterable[Pod]) -> Pod | None:
    """Return the failed pod that ended first, that of a step before one of Kubeflow's own; None where none failed."""
    failed = [pod for pod in pods if pod.phase in FAILED]
    return min(failed, key=lambda pod: (is_driver(pod), pod.finished), default=None)


def is_driver(pod: Pod) -> bool:
    """Return whether the pod is one that Kubeflow runs before a step."""
    return pod.step.endswith("-driver")


def _start(pod: Pod) -> tuple[bool, str]:
    """Return a key by which what has not started comes last."""
    return not pod.started, pod.started


def _pod(metadata: dict[str, Any], node: dict[str, Any]) -> Pod:
    workflow = metadata["name"]
    place = ATTEMPT.sub("", node["name"].removeprefix(f"{workflow}."))
    path = ITERATION.sub("", place).split(".")
    step = path[-2] if path[-1] == EXECUTOR and len(path) > 1 else path[-1]
    return Pod(
        step,
        place,
        _pod_name(metadata, node),
        node.get("phase", ""),
        node.get("message", ""),
        node.get("startedAt") or "",
        node.get("finishedAt") or "",
    )


def _pod_name(metadata: dict[str, Any], node: dict[str, Any]) -> str:
    """Return the name that Argo gives to a node's pod, as Kubeflow's `RetrievePodName` finds it."""
    workflow, identity = metadata["name"], str(node["id"])
    if (metadata.get("annotations") or {}).get("workflows.argoproj.io/pod-name-format") == "v1":
        return identity
    if node["name"] == workflow:
        return str(workflow)
    inline = ".inline" in node["name"]
    middle = "" if inline else f"-{node.get('templateName', '')}"
    return f"{workflow}{middle}-{identity.rpartition('-')[2]}"
