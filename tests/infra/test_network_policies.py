"""What may talk to what: the policies of an overlay, read as a cluster reads them."""

import os
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from pipelines.environment import STEP_LABEL
from pipelines.monitoring import monitoring_pipeline
from tests.infra.manifests import (
    INFRA,
    OVERLAYS,
    Resource,
    kustomize,
    matches,
    name_of,
    of_kind,
    overlay,
    pod_of,
    workloads,
)

KUBEFLOW = "kubeflow"
RUN = {"pipelines.kubeflow.org/v2_component": "true"}
DRIVER = (KUBEFLOW, RUN)
API_SERVER = (KUBEFLOW, {"app": "ml-pipeline"})
METADATA = (KUBEFLOW, {"component": "metadata-grpc-server"})
MYSQL = (KUBEFLOW, {"app": "mysql"})
RESOLVER = ("kube-system", {"k8s-app": "kube-dns"})
SEAWEEDFS = (KUBEFLOW, {"app": "seaweedfs"})
STRANGER = ("default", {"app": "stranger"})

# What release 2.17.0 of Kubeflow says of its store; policies add up.
KUBEFLOWS_OWN: Resource = {
    "metadata": {"namespace": KUBEFLOW},
    "spec": {
        "podSelector": {"matchLabels": {"app": "seaweedfs"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8333}]}],
    },
}

Pod = tuple[str, dict[str, str]]


def ours(app: str) -> Pod:
    return "mlflow", {"app.kubernetes.io/name": app}


def step(name: str) -> Pod:
    return KUBEFLOW, {**RUN, STEP_LABEL: name}


# Steps that share the study, by the secret that they are given.
DATABASE_STEPS = ("open-study", "search", "choose")
STEPS = (
    "ingest",
    "preprocess",
    "check-changes",
    "train-baseline",
    *DATABASE_STEPS,
    "evaluate",
    "gate",
    "register",
    "close-run",
    # Of the pipeline that looks for drift, which has all of the others too.
    "monitor",
    "claim",
)
MLFLOW, POSTGRES, BUCKET, DATABASES = (ours(name) for name in ("mlflow", "postgres", "bucket", "databases"))


def variables_of_the_compiled_steps() -> dict[str, set[str]]:
    """The variables that a step is given from Secrets, by the label of its pod."""
    platform = MessageToDict(monitoring_pipeline.platform_spec)["platforms"]["kubernetes"]
    return {
        executor["podMetadata"]["labels"][STEP_LABEL]: {
            entry["envVar"] for secret in executor["secretAsEnv"] for entry in secret["keyToEnv"]
        }
        for executor in platform["deploymentSpec"]["executors"].values()
    }


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
    policies = [*of_kind(overlay(name), "NetworkPolicy"), KUBEFLOWS_OWN]
    return allowed(policies, "Egress", client, server, port) and allowed(
        policies, "Ingress", server, client, port
    )


@pytest.mark.parametrize("name", ["kind", "minikube"])
@pytest.mark.parametrize(
    ("client", "server", "port", "expected"),
    [
        (DRIVER, MLFLOW, 5000, True),
        (API_SERVER, MLFLOW, 5000, True),
        (step("search"), RESOLVER, 53, True),
        (step("search"), API_SERVER, 8887, True),
        (step("search"), METADATA, 8080, True),
        (step("search"), SEAWEEDFS, 8333, True),
        (step("search"), SEAWEEDFS, 18888, False),
        (step("search"), MYSQL, 3306, False),
        (step("search"), step("train-baseline"), 8080, False),
        (step("search"), STRANGER, 80, False),
        (DRIVER, POSTGRES, 5432, False),
        (MYSQL, MLFLOW, 5000, False),
        (MLFLOW, POSTGRES, 5432, True),
        (DATABASES, POSTGRES, 5432, True),
        (MLFLOW, SEAWEEDFS, 8333, True),
        (BUCKET, SEAWEEDFS, 8333, True),
        (MLFLOW, RESOLVER, 53, True),
        (MLFLOW, STRANGER, 53, False),
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


@pytest.mark.parametrize("name", ["kind", "minikube"])
def test_each_step_reaches_mlflow_and_three_the_database(name: str) -> None:
    assert set(STEPS) == variables_of_the_compiled_steps().keys()
    for client in STEPS:
        assert connects(name, step(client), MLFLOW, 5000)
        assert connects(name, step(client), POSTGRES, 5432) is (client in DATABASE_STEPS)


def outside(name: str, client: str, address: str, port: int) -> bool:
    """Whether a step may talk to an address that is no pod's."""
    return _outside(overlay(name), client, address, port)


def _outside(rendered: tuple[Resource, ...], client: str, address: str, port: int) -> bool:
    addresses = [
        (peer["ipBlock"], {entry["port"] for entry in rule["ports"]})
        for policy in of_kind(rendered, "NetworkPolicy")
        if policy["metadata"]["namespace"] == KUBEFLOW
        and matches(policy["spec"]["podSelector"], step(client)[1])
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    return any(
        port in ports
        and ip_address(address) in ip_network(block["cidr"])
        and not any(ip_address(address) in ip_network(hole) for hole in block.get("except", []))
        for block, ports in addresses
    )


@pytest.mark.parametrize("name", ["kind", "minikube"])
def test_ingest_alone_reaches_public_addresses_and_nobody_private_ones(name: str) -> None:
    assert [client for client in STEPS if outside(name, client, "93.184.215.14", 443)] == ["ingest"]
    assert [client for client in STEPS if outside(name, client, "2606:2800:21f::1", 443)] == ["ingest"]
    private = [
        "10.1.2.3",
        "172.20.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "127.0.0.1",
        "fd00::1",
    ]
    for client in STEPS:
        for address in private:
            assert not outside(name, client, address, 80)
            assert not outside(name, client, address, 443)


def test_with_the_component_notices_those_who_send_them_reach_public_receivers(tmp_path: Path) -> None:
    component = os.path.relpath(INFRA / "components/notices", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(f"components:\n  - {component}\n")
    rendered = kustomize(tmp_path)
    for port in (443, 465, 587):
        reaching = [client for client in STEPS if _outside(rendered, client, "93.184.215.14", port)]
        assert reaching == ["close-run", "monitor"]
        assert not any(_outside(rendered, client, "10.1.2.3", port) for client in reaching)


def test_in_production_the_metadata_service_is_out_of_reach_and_no_step_has_public_data() -> None:
    given = variables_of_the_compiled_steps()
    for address, port, variable in (
        ("52.95.0.1", 443, "AWS_ACCESS_KEY_ID"),
        ("10.20.0.1", 5432, "OPTUNA_STORAGE"),
    ):
        reaching = {client for client in STEPS if outside("production", client, address, port)}
        assert reaching == {client for client, variables in given.items() if variable in variables} != set()
    for client in STEPS:
        assert not outside("production", client, "93.184.215.14", 80)
        assert not outside("production", client, "169.254.169.254", 443)


def test_production_opens_to_kubeflow_and_the_ingress_controller_alone() -> None:
    assert connects("production", step("gate"), MLFLOW, 5000)
    assert connects("production", ("traefik", {"app": "traefik"}), MLFLOW, 5000)
    assert not connects("production", STRANGER, MLFLOW, 5000)


@pytest.mark.parametrize("name", OVERLAYS)
def test_policies_select_a_pod(name: str) -> None:
    pods = [(w["metadata"]["namespace"], pod_of(w)["metadata"]["labels"]) for w in workloads(overlay(name))]
    for policy in of_kind(overlay(name), "NetworkPolicy"):
        selected = [
            pod
            for pod in (*pods, SEAWEEDFS, *map(step, STEPS))
            if pod[0] == policy["metadata"]["namespace"] and matches(policy["spec"]["podSelector"], pod[1])
        ]
        assert selected, name_of(policy)
