"""The parameter values that come with a pool lead `train` and `tune` to its nodes, and past its taints."""

from typing import Any

import pytest
import yaml

from pipelines.parameters import request
from tests.infra.manifests import INFRA, Resource

POOLS = INFRA / "gpu-node-pool"
Taint = dict[str, str]


def karpenter() -> tuple[dict[str, str], list[Taint]]:
    pool = yaml.safe_load((POOLS / "aws-karpenter" / "node-pool.yaml").read_text())
    template = pool["spec"]["template"]
    node_class = yaml.safe_load((POOLS / "aws-karpenter" / "node-class.yaml").read_text())
    assert template["spec"]["nodeClassRef"] == {
        "group": node_class["apiVersion"].split("/")[0],
        "kind": node_class["kind"],
        "name": node_class["metadata"]["name"],
    }
    return template["metadata"]["labels"], template["spec"]["taints"]


def compute_class() -> tuple[dict[str, str], list[Taint]]:
    """GKE labels and taints a class's nodes with its name, and taints every node that has a GPU."""
    declared = yaml.safe_load((POOLS / "gke-compute-class" / "compute-class.yaml").read_text())
    label = {"cloud.google.com/compute-class": declared["metadata"]["name"]}
    taints = [{"key": key, "value": value, "effect": "NoSchedule"} for key, value in label.items()]
    return label, [*taints, {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]


def kind() -> tuple[dict[str, str], list[Taint]]:
    cluster = yaml.safe_load((INFRA / "kind" / "cluster.yaml").read_text())
    (node,) = [node for node in cluster["nodes"] if "kubeadmConfigPatches" in node]
    (patch,) = node["kubeadmConfigPatches"]
    return node["labels"], yaml.safe_load(patch)["nodeRegistration"]["taints"]


def tolerates(toleration: Resource, taint: Taint) -> bool:
    if toleration["key"] != taint["key"] or toleration.get("effect", taint["effect"]) != taint["effect"]:
        return False
    return bool(toleration["operator"] == "Exists" or toleration.get("value", "") == taint["value"])


@pytest.mark.parametrize(
    ("name", "pool", "gpus"),
    [("aws-karpenter", karpenter, "1"), ("gke-compute-class", compute_class, "1"), ("kind", kind, "0")],
)
def test_parameters_lead_to_the_pool(name: str, pool: Any, gpus: str) -> None:
    labels, taints = pool()
    asked = request((POOLS / name / "parameters").read_text().splitlines())
    asked.resolved()
    arguments = asked.arguments()
    assert arguments["gpu_count"] == gpus
    assert arguments["node_selector"].items() <= labels.items()
    assert taints
    for taint in taints:
        assert any(tolerates(toleration, taint) for toleration in arguments["tolerations"]), taint


@pytest.mark.parametrize("pool", [karpenter, compute_class, kind])
def test_other_pods_stay_away(pool: Any) -> None:
    _, taints = pool()
    assert {"NoSchedule"} == {taint["effect"] for taint in taints}
