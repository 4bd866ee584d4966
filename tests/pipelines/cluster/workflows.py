"""Workflows as Argo reports them, with the nodes that Kubeflow's compiler makes of a task that may be tried again."""

from typing import Any

NAME = "mnist-pipeline-x7k2p"


def workflow(*nodes: dict[str, Any]) -> dict[str, Any]:
    """Return a workflow of these nodes."""
    return {
        "metadata": {"name": NAME, "annotations": {}},
        "status": {"nodes": {node["id"]: node for node in nodes}},
    }


def node(
    path: str, number: int, phase: str, second: int, template: str = "system-container-impl", **more: Any
) -> dict[str, Any]:
    """Return a node below the root; `number` is the hash in its id, and `second` that of its end."""
    return {
        "id": f"{NAME}-{number}",
        "name": f"{NAME}.root.{path}",
        "displayName": path.rpartition(".")[2],
        "type": "Pod",
        "templateName": template,
        "phase": phase,
        "startedAt": f"2026-11-28T09:00:{second - 1:02}Z",
        "finishedAt": f"2026-11-28T09:00:{second:02}Z",
        **more,
    }


def pod(number: int, template: str = "system-container-impl") -> str:
    """Return the name of a node's pod."""
    return f"{NAME}-{template}-{number}"
