"""A namespace with a ResourceQuota and a LimitRange takes every pod of a run: each container states its bounds."""

import copy
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipelines.compile import compile_pipeline
from pipelines.parameters import pod_settings
from pipelines.pipeline import mnist_pipeline
from pipelines.pods import PLAIN, quantity, use_pods
from tests.infra.manifests import INFRA, Resource, containers_of, kustomize, of_kind
from tests.infra.step_pods import pod_of_driver, step_pods
from tests.pipelines.conftest import IMAGE

EXECUTORS = 11
NOWHERE: Resource = {"node_selector": {}, "node_affinity": {}, "tolerations": []}
KINDS = ("cpu", "memory")

Resources = dict[str, dict[str, str]]
Pods = dict[str, list[Resources]]


@pytest.fixture(scope="module")
def bounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Resource]:
    """The quota and the limits of a profile's namespace."""
    directory = tmp_path_factory.mktemp("overlay")
    relative = os.path.relpath(INFRA, directory)
    overlay = {
        "namespace": "team-vision",
        "resources": [f"{relative}/base/steps"],
        "components": [f"{relative}/components/quota"],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    rendered = kustomize(directory)
    (quota,), (limits,) = of_kind(rendered, "ResourceQuota"), of_kind(rendered, "LimitRange")
    assert {resource["metadata"]["namespace"] for resource in rendered} == {"team-vision"}
    (limit,) = limits["spec"]["limits"]
    return quota["spec"]["hard"], limit


def _pods(directory: Path, *settings: str) -> Pods:
    """The containers of each pod of a run, with those that Kubeflow and Argo add."""
    package = directory / "pipeline.yaml"
    compile_pipeline(package, IMAGE, pods=pod_settings(settings))
    use_pods(PLAIN, mnist_pipeline)
    pods = {"driver": pod_of_driver(), **step_pods(package, NOWHERE)}
    assert len(pods) == EXECUTORS + 1
    return {name: [c["resources"] for c in containers_of(pod["spec"])] for name, pod in pods.items()}


def _admitted(container: Resources, limit: Resource) -> Resources:
    """Fill in what is missing as Kubernetes does: a request from the stated limit, the rest from the LimitRange."""
    filled: Resources = copy.deepcopy({"requests": {}, "limits": {}, **container})
    for kind in KINDS:
        if kind in filled["limits"]:
            filled["requests"].setdefault(kind, filled["limits"][kind])
        filled["limits"].setdefault(kind, limit["default"][kind])
        filled["requests"].setdefault(kind, limit["defaultRequest"][kind])
    return filled


def _refusals(pods: Pods, limit: Resource) -> Iterator[str]:
    for name, containers in pods.items():
        for container in (_admitted(given, limit) for given in containers):
            for kind in KINDS:
                request, bound = (quantity(container[part][kind]) for part in ("requests", "limits"))
                if not 0 < request <= bound <= quantity(limit["max"][kind]):
                    yield f"{name} {kind}"


def test_with_limits_every_container_states_its_bounds_itself(tmp_path: Path) -> None:
    pods = _pods(tmp_path, "cpu_limit=2", "memory_limit=4Gi")
    for name, containers in pods.items():
        for container in containers:
            assert container["limits"].keys() == set(KINDS), name
            assert "cpu" in container["requests"], name


def test_with_limits_every_pod_is_admitted(tmp_path: Path, bounds: tuple[dict[str, str], Resource]) -> None:
    quota, limit = bounds
    pods = _pods(tmp_path, "cpu_limit=2", "memory_limit=4Gi")
    assert list(_refusals(pods, limit)) == []
    # Four workers at a time are within the quota.
    for part in ("requests", "limits"):
        for kind in KINDS:
            taken = sum(quantity(_admitted(c, limit)[part][kind]) for c in pods["exec-search"])
            assert 4 * taken <= quantity(quota[f"{part}.{kind}"])


def test_without_them_the_default_limit_is_below_what_steps_ask_for(
    tmp_path: Path, bounds: tuple[dict[str, str], Resource]
) -> None:
    refused = set(_refusals(_pods(tmp_path), bounds[1]))
    assert {
        "exec-train memory",
        "exec-search memory",
        "exec-choose memory",
        "exec-evaluate memory",
    } <= refused


@pytest.mark.parametrize("name", ["exec-close-run", "exec-search"])
def test_the_exit_handler_and_the_loop_are_among_them(tmp_path: Path, name: str) -> None:
    assert _pods(tmp_path, "memory_limit=4Gi")[name][2]["limits"] == {"memory": "4Gi"}
