"""The manifests as a cluster would get them."""

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
BIN = Path(sys.executable).parent
OVERLAYS = ("kind", "minikube", "production")
WORKLOADS = {"Deployment", "StatefulSet", "Job"}

Resource = dict[str, Any]


def kustomize(directory: Path) -> tuple[Resource, ...]:
    """Render a kustomization; what it has to say fails the test."""
    command = [str(BIN / "kubectl"), "kustomize", str(directory)]
    rendered = subprocess.run(command, capture_output=True, text=True, check=False)
    assert rendered.returncode == 0, rendered.stderr
    assert rendered.stderr == ""
    return tuple(yaml.safe_load_all(rendered.stdout))


@cache
def overlay(name: str) -> tuple[Resource, ...]:
    return kustomize(INFRA / "overlays" / name)


def name_of(resource: Resource) -> str:
    metadata = resource["metadata"]
    return f"{resource['kind']} {metadata.get('namespace', '-')}/{metadata['name']}"


def of_kind(resources: tuple[Resource, ...], *kinds: str) -> list[Resource]:
    return [resource for resource in resources if resource["kind"] in kinds]


def workloads(resources: tuple[Resource, ...]) -> list[Resource]:
    return of_kind(resources, *WORKLOADS)


def pod_of(workload: Resource) -> Resource:
    pod: Resource = workload["spec"]["template"]
    return pod


def containers_of(pod_spec: Resource) -> list[Resource]:
    return [*pod_spec.get("initContainers", []), *pod_spec["containers"]]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every scalar with the path to it."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        yield path, value
    for key, item in items:
        yield from leaves(item, (*path, key))


def matches(selector: Resource, labels: dict[str, str]) -> bool:
    """Whether a Kubernetes label selector selects these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] in {"In", "Exists"}, expression
        values = expression.get("values", list(labels.values()))
        if labels.get(expression["key"]) not in values:
            return False
    return True
