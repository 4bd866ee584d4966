"""Pod Security "restricted", images that stay what they are, least rights, and no secret in any manifest."""

import copy
import re
from typing import Any

import pytest
import yaml

from pipelines.cli.cluster import ACCOUNT
from tests.infra.manifests import (
    INFRA,
    OVERLAYS,
    Resource,
    containers_of,
    leaves,
    name_of,
    of_kind,
    overlay,
    pod_of,
    workloads,
)

VOLUMES = {
    "configMap",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
    "csi",
}
# A digest, or a version in full: our own tags are never pushed twice, a public image has a digest.
IMAGE = re.compile(r"(.+@sha256:[0-9a-f]{64}|(?:[\w.\-]+/)?mnist-pipeline-mlflow:\d+\.\d+\.\d+)", re.ASCII)
SUSPICIOUS = re.compile(r"password|secret|token|credential|access.?key", re.IGNORECASE)


def violations(pod_spec: Resource) -> list[str]:
    """What the Pod Security Standard "restricted" has against this pod."""
    found: list[str] = []
    context = pod_spec.get("securityContext", {})
    found += [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod_spec.get(name)]
    found += [f"volume {v['name']}" for v in pod_spec.get("volumes", []) if not VOLUMES & set(v)]
    if context.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        found.append("seccompProfile")
    if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) == 0:
        found.append("runAsNonRoot")
    for container in containers_of(pod_spec):
        own = container.get("securityContext", {})
        capabilities = own.get("capabilities", {})
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            found.append("privileges")
        if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            found.append("capabilities")
        if own.get("runAsNonRoot") is False or own.get("runAsUser") == 0:
            found.append("container runs as root")
        found += [f"hostPort {p['hostPort']}" for p in container.get("ports", []) if p.get("hostPort")]
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_are_restricted(name: str) -> None:
    for workload in workloads(overlay(name)):
        assert violations(pod_of(workload)["spec"]) == [], name_of(workload)


def quantity(text: str) -> float:
    """The number of processors or bytes."""
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    number, unit = re.fullmatch(r"([\d.]+)(m|Ki|Mi|Gi)?", text).groups()  # type: ignore[union-attr]
    return float(number) * units.get(unit, 1)


def _unset(container: Resource, key: str) -> None:
    del container["securityContext"][key]


@pytest.mark.parametrize(
    ("spoil", "violation"),
    [
        (lambda pod: pod["securityContext"].pop("seccompProfile"), "seccompProfile"),
        (lambda pod: pod["securityContext"].update(runAsUser=0), "runAsNonRoot"),
        (lambda pod: pod.update(hostNetwork=True), "hostNetwork"),
        (lambda pod: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}}), "volume host"),
        (lambda pod: _unset(pod["containers"][0], "allowPrivilegeEscalation"), "privileges"),
        (lambda pod: _unset(pod["containers"][0], "capabilities"), "capabilities"),
    ],
)
def test_a_violation_is_found(spoil: Any, violation: str) -> None:
    (deployment,) = of_kind(overlay("production"), "Deployment")
    pod = copy.deepcopy(pod_of(deployment)["spec"])
    spoil(pod)
    assert violations(pod) == [violation]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_namespace_enforces_it(name: str) -> None:
    (namespace,) = of_kind(overlay(name), "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in workloads(overlay(name)):
        assert workload["metadata"]["namespace"] == namespace["metadata"]["name"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_containers_are_bounded_and_cannot_write_their_image(name: str) -> None:
    for workload in workloads(overlay(name)):
        for container in containers_of(pod_of(workload)["spec"]):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name_of(workload)
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][bound]), name_of(workload)


@pytest.mark.parametrize("name", OVERLAYS)
def test_images_stay_what_they_are(name: str) -> None:
    for workload in workloads(overlay(name)):
        for container in containers_of(pod_of(workload)["spec"]):
            assert IMAGE.fullmatch(container["image"]), f"{name_of(workload)} {container['image']}"


@pytest.mark.parametrize(
    "image", ["postgres:17", "postgres:17.6", "mnist-pipeline-mlflow", "mnist-pipeline-mlflow:latest"]
)
def test_what_is_no_image_reference(image: str) -> None:
    assert not IMAGE.fullmatch(image)


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_but_the_steps_has_rights_in_the_cluster(name: str) -> None:
    resources = overlay(name)
    assert of_kind(resources, "ClusterRole", "ClusterRoleBinding") == []
    (binding,) = of_kind(resources, "RoleBinding")
    steps = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "kubeflow"}
    assert binding["subjects"] == [steps]
    for account in of_kind(resources, "ServiceAccount"):
        if account["metadata"]["name"] != ACCOUNT:
            assert account["automountServiceAccountToken"] is False
    for workload in workloads(resources):
        assert pod_of(workload)["spec"]["automountServiceAccountToken"] is False, name_of(workload)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_steps_account_may_do_what_kubeflow_does_in_a_pod_and_no_more(name: str) -> None:
    (role,) = of_kind(overlay(name), "Role")
    rights = {
        (*rule["apiGroups"], *rule["resources"], *rule.get("resourceNames", ["*"])): set(rule["verbs"])
        for rule in role["rules"]
    }
    assert rights == {
        ("", "pods", "*"): {"get"},
        ("", "configmaps", "kfp-launcher"): {"get"},
        ("", "secrets", "mnist-pipeline-artifacts"): {"get"},
        ("argoproj.io", "workflowtaskresults", "*"): {"create", "patch"},
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_a_workload_asks_for_fits_the_quota_of_its_namespace(name: str) -> None:
    (quota,) = of_kind(overlay(name), "ResourceQuota")
    hard = quota["spec"]["hard"]
    asked = dict.fromkeys(hard, 0.0)
    for workload in workloads(overlay(name)):
        # An update starts one more before it ends one.
        pods = workload["spec"].get("replicas", 1) + (workload["kind"] == "Deployment")
        asked["pods"] += pods
        for container in containers_of(pod_of(workload)["spec"]):
            for bound, amounts in container["resources"].items():
                for resource in ("cpu", "memory"):
                    asked[f"{bound}.{resource}"] += pods * quantity(amounts[resource])
    for resource in ("pods", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"):
        assert asked[resource] <= quantity(hard[resource]), resource


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_manifest_holds_a_secret(name: str) -> None:
    resources = overlay(name)
    assert of_kind(resources, "Secret") == []
    for resource in workloads(resources):
        for container in containers_of(pod_of(resource)["spec"]):
            for variable in container.get("env", []):
                plain = "value" in variable and not variable["value"].startswith("/run/secrets/")
                assert not (SUSPICIOUS.search(variable["name"]) and plain), variable["name"]
    for config in of_kind(resources, "ConfigMap"):
        keys = [key for key in config["data"] if SUSPICIOUS.search(key)]
        assert keys == [], name_of(config)
    for path, value in leaves(list(resources)):
        assert not re.search(r"://[^/\s]+:[^/\s]+@", str(value)), path


def test_no_file_holds_a_secret() -> None:
    for path in INFRA.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert not re.search(r"AKIA[0-9A-Z]{16}|-----BEGIN|://\w+:\w+@", text), path
            if path.suffix == ".yaml":
                documents = [found for found in yaml.safe_load_all(text) if isinstance(found, dict)]
                assert "Secret" not in {document["kind"] for document in documents}, path
