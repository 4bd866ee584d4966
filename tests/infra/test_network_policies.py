"""What may talk to what: the policies of an overlay, read as a cluster reads them."""

from typing import Any

import pytest

from tests.infra.manifests import OVERLAYS, Resource, matches, name_of, of_kind, overlay, pod_of, workloads

KUBEFLOW = "kubeflow"
STEP = (KUBEFLOW, {"pipelines.kubeflow.org/v2_component": "true"})
API_SERVER = (KUBEFLOW, {"app": "ml-pipeline"})
SEAWEEDFS = (KUBEFLOW, {"app": "seaweedfs"})
STRANGER = ("default", {"app": "stranger"})

Pod = tuple[str, dict[str, str]]


def ours(app: str) -> Pod:
    return "mlflow", {"app.kubernetes.io/name": app}


MLFLOW, POSTGRES, BUCKET, DATABASES = (ours(name) for name in ("mlflow", "postgres", "bucket", "databases"))


def is_peer(peer: Resource, policy_namespace: str, pod: Pod) -> bool:
    namespace, labels = pod
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        if not matches(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace}):
            return False
    elif namespace != policy_namespace:
        return False
    return matches(peer.get("podSelector", {}), labels)


def allowed(policies: list[Resource], direction: str, pod: Pod, other: Pod, port: int) -> bool:
    """Whether the policies that select `pod` let traffic from (Ingress) or to (Egress) `other` through."""
    selecting = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod[0]
        and direction in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], pod[1])
    ]
    side = {"Ingress": "from", "Egress": "to"}[direction]
    rules: list[tuple[str, Any]] = [
        (policy["metadata"]["namespace"], rule)
        for policy in selecting
        for rule in policy["spec"].get(direction.lower(), [])
    ]
    return not selecting or any(
        (side not in rule or any(is_peer(peer, namespace, other) for peer in rule[side]))
        and ("ports" not in rule or port in {entry["port"] for entry in rule["ports"]})
        for namespace, rule in rules
    )


def connects(name: str, client: Pod, server: Pod, port: int) -> bool:
    policies = of_kind(overlay(name), "NetworkPolicy")
    return allowed(policies, "Egress", client, server, port) and allowed(
        policies, "Ingress", server, client, port
    )


@pytest.mark.parametrize("name", ["kind", "minikube"])
@pytest.mark.parametrize(
    ("client", "server", "port", "expected"),
    [
        (STEP, MLFLOW, 5000, True),
        (API_SERVER, MLFLOW, 5000, True),
        (STEP, POSTGRES, 5432, True),
        (MLFLOW, POSTGRES, 5432, True),
        (DATABASES, POSTGRES, 5432, True),
        (MLFLOW, SEAWEEDFS, 8333, True),
        (BUCKET, SEAWEEDFS, 8333, True),
        (MLFLOW, ("kube-system", {"k8s-app": "kube-dns"}), 53, True),
        (STRANGER, MLFLOW, 5000, False),
        (STRANGER, POSTGRES, 5432, False),
        (API_SERVER, POSTGRES, 5432, False),
        (BUCKET, POSTGRES, 5432, False),
        (POSTGRES, MLFLOW, 5000, False),
        (DATABASES, SEAWEEDFS, 8333, False),
        (MLFLOW, SEAWEEDFS, 9333, False),
        (MLFLOW, STRANGER, 80, False),
    ],
)
def test_who_talks_to_whom(name: str, client: Pod, server: Pod, port: int, expected: bool) -> None:
    assert connects(name, client, server, port) is expected


def test_production_opens_to_kubeflow_and_the_ingress_controller_alone() -> None:
    assert connects("production", STEP, MLFLOW, 5000)
    assert connects("production", ("traefik", {"app": "traefik"}), MLFLOW, 5000)
    assert not connects("production", STRANGER, MLFLOW, 5000)


@pytest.mark.parametrize("name", OVERLAYS)
def test_policies_select_a_pod(name: str) -> None:
    pods = [(w["metadata"]["namespace"], pod_of(w)["metadata"]["labels"]) for w in workloads(overlay(name))]
    for policy in of_kind(overlay(name), "NetworkPolicy"):
        selected = [
            pod
            for pod in (*pods, SEAWEEDFS)
            if pod[0] == policy["metadata"]["namespace"] and matches(policy["spec"]["podSelector"], pod[1])
        ]
        assert selected, name_of(policy)
