"""What a manifest names exists: in the same overlay, made by a script, or brought by the operator."""

from typing import Any

import pytest

from pipelines.cli.cluster import ACCOUNT
from pipelines.environment import CREDENTIALS, NAME, PUBLIC_KEYS, SETTINGS
from tests.infra.manifests import (
    INFRA,
    OVERLAYS,
    Resource,
    containers_of,
    matches,
    name_of,
    of_kind,
    overlay,
    pod_of,
    workloads,
)

# The Secrets with their keys: infra/scripts/secrets.sh makes them (tested in test_secrets.py); in production the
# operator does, as docs/operations.md lists them.
SECRETS = {
    ("mlflow", "bucket-s3"): {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    ("mlflow", "mlflow-s3"): {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    ("mlflow", "postgres"): {"password"},
    ("mlflow", "mlflow-database"): {"password", "uri"},
    ("mlflow", "optuna-database"): {"password"},
    ("kubeflow", "mlpipeline-minio-artifact"): {"accesskey", "secretkey"},
    ("kubeflow", "mnist-model-log"): {"S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    ("kubeflow", "mnist-pipeline"): {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "OPTUNA_STORAGE"},
    ("kubeflow", "mnist-pipeline-artifacts"): {"accesskey", "secretkey"},
    ("kubeflow", "mnist-pipeline-data"): {"DATA_URI"},
    ("kubeflow", "mnist-pipeline-monitoring"): {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    ("kubeflow", "mnist-pipeline-signing"): {"MODEL_SIGNING_KEY"},
    ("kubeflow", "seaweedfs-identities"): {"identities.json"}
    | {
        f"{name}_{part}"
        for name in ("bucket", "mlflow", "steps", "monitor", "serve", "artifacts")
        for part in ("key", "secret")
    },
}
# An Ingress's certificate, by cert-manager or by hand.
EXTERNAL = {("mlflow", "mlflow-tls")}

KINDS = {
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}


def references(value: Any) -> list[tuple[str, str, set[str]]]:
    """Kind, name and keys of every ConfigMap and Secret that a pod's specification names."""
    found: list[tuple[str, str, set[str]]] = []
    if isinstance(value, list):
        return [reference for item in value for reference in references(item)]
    if not isinstance(value, dict):
        return found
    for key, item in value.items():
        if key in KINDS:
            found.append((KINDS[key], item["name"], {item["key"]} if "key" in item else set()))
        elif key == "configMap":
            found.append(("ConfigMap", item["name"], {entry["key"] for entry in item.get("items", [])}))
        elif key == "secret":
            found.append(("Secret", item["secretName"], {entry["key"] for entry in item.get("items", [])}))
        else:
            found += references(item)
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_config_maps_and_secrets_exist(name: str) -> None:
    resources = overlay(name)
    known = {("Secret", *secret): keys for secret, keys in SECRETS.items()}
    for config in of_kind(resources, "ConfigMap"):
        known["ConfigMap", config["metadata"]["namespace"], config["metadata"]["name"]] = set(config["data"])
    count = 0
    for workload in workloads(resources):
        namespace = workload["metadata"]["namespace"]
        for kind, target, keys in references(pod_of(workload)["spec"]):
            count += 1
            assert (kind, namespace, target) in known, f"{name_of(workload)} names {kind} {target}"
            assert keys <= known[kind, namespace, target], f"{name_of(workload)} names {kind} {target} {keys}"
    assert count >= 3


@pytest.mark.parametrize("name", OVERLAYS)
def test_service_accounts_exist(name: str) -> None:
    resources = overlay(name)
    known = {
        (account["metadata"]["namespace"], account["metadata"]["name"])
        for account in of_kind(resources, "ServiceAccount")
    }
    used = {
        (workload["metadata"]["namespace"], pod_of(workload)["spec"]["serviceAccountName"])
        for workload in workloads(resources)
    }
    assert used | {("kubeflow", ACCOUNT)} == known


@pytest.mark.parametrize("name", OVERLAYS)
def test_selectors_select_their_own_pods(name: str) -> None:
    for workload in workloads(overlay(name)):
        if workload["kind"] == "Job":
            continue
        assert matches(workload["spec"]["selector"], pod_of(workload)["metadata"]["labels"]), name_of(
            workload
        )


def ports_of(pod_spec: Resource) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for container in containers_of(pod_spec)
        for port in container["ports"]
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_services_and_budgets_reach_a_pod(name: str) -> None:
    resources = overlay(name)
    for resource in of_kind(resources, "Service", "PodDisruptionBudget"):
        selector = resource["spec"]["selector"]
        if resource["kind"] == "Service":
            selector = {"matchLabels": selector}
        chosen = [w for w in workloads(resources) if matches(selector, pod_of(w)["metadata"]["labels"])]
        assert len(chosen) == 1, name_of(resource)
        assert chosen[0]["metadata"]["namespace"] == resource["metadata"]["namespace"]
        for port in resource["spec"].get("ports", []):
            assert port["targetPort"] in ports_of(pod_of(chosen[0])["spec"]), name_of(resource)


@pytest.mark.parametrize("name", OVERLAYS)
def test_probes_and_mounts_name_what_the_pod_has(name: str) -> None:
    for workload in workloads(overlay(name)):
        specification = pod_of(workload)["spec"]
        volumes = {volume["name"] for volume in specification.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        for container in containers_of(specification):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes, name_of(
                workload
            )
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                request = container.get(probe, {}).get("httpGet")
                assert request is None or request["port"] in ports, name_of(workload)
            if workload["kind"] != "Job":
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), name_of(
                    workload
                )


def test_the_ingress_leads_to_the_service() -> None:
    resources = overlay("production")
    (ingress,) = of_kind(resources, "Ingress")
    (service,) = of_kind(resources, "Service")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    (tls,) = ingress["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]]
    assert (ingress["metadata"]["namespace"], tls["secretName"]) in EXTERNAL
    (settings,) = [
        c["data"] for c in of_kind(resources, "ConfigMap") if c["metadata"]["namespace"] == "mlflow"
    ]
    assert rule["host"] in settings["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert settings["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == f"https://{rule['host']}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_addresses_name_services(name: str) -> None:
    resources = overlay(name)
    services = {
        f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local:{port['port']}"
        for service in of_kind(resources, "Service")
        for port in service["spec"]["ports"]
    }
    # Kubeflow's own: test_kubeflow.py pins the release that brings it.
    services.add("seaweedfs.kubeflow.svc.cluster.local:9000")
    for config in of_kind(resources, "ConfigMap"):
        for key, value in config["data"].items():
            if key.endswith(("_URI", "_URL")) and ".svc." in value:
                assert value.removeprefix("http://") in services, f"{name_of(config)} {key}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_steps_find_what_the_pipeline_reads(name: str) -> None:
    (settings,) = [
        config["data"]
        for config in of_kind(overlay(name), "ConfigMap")
        if (config["metadata"]["namespace"], config["metadata"]["name"]) == ("kubeflow", NAME)
    ]
    # The others are for those who need them.
    assert set(settings) <= set(SETTINGS)
    assert {"CHECKPOINT_DIR", "MLFLOW_TRACKING_URI", "S3_BUCKET", "S3_ENDPOINT_URL"} <= set(settings)
    # What the script makes for the steps, some step is given; logins and guarded data come from the operator.
    read = {(secret, key) for secret, keys in CREDENTIALS.values() for key in keys}
    made = {(secret, key) for secret in (NAME, f"{NAME}-signing") for key in SECRETS["kubeflow", secret]}
    assert made <= read


@pytest.mark.parametrize("name", OVERLAYS)
def test_server_bucket_and_steps_agree_on_the_store(name: str) -> None:
    configs = {
        (config["metadata"]["namespace"], config["metadata"]["name"].split("-")[0]): config["data"]
        for config in of_kind(overlay(name), "ConfigMap")
    }
    steps, server = configs["kubeflow", "mnist"], configs["mlflow", "mlflow"]
    assert server["MLFLOW_S3_ENDPOINT_URL"] == steps["S3_ENDPOINT_URL"]
    assert server["MLFLOW_ARTIFACTS_DESTINATION"] == f"s3://{steps['S3_BUCKET']}/mlflow"
    assert server["AWS_DEFAULT_REGION"] == steps["AWS_DEFAULT_REGION"]
    assert steps["CHECKPOINT_DIR"] == f"s3://{steps['S3_BUCKET']}/checkpoints"
    if name != "production":
        bucket = configs["mlflow", "bucket"]
        assert {key: steps[key] for key in bucket if key != "create_bucket.py"} == {
            key: value for key, value in bucket.items() if key != "create_bucket.py"
        }


def test_the_operators_secrets_are_documented() -> None:
    guide = (INFRA.parent / "docs" / "operations.md").read_text()
    for namespace, secret in (
        ("mlflow", "mlflow-s3"),
        ("mlflow", "mlflow-database"),
        *(("kubeflow", secret) for secret, _ in CREDENTIALS.values()),
        ("kubeflow", PUBLIC_KEYS[0]),
        *EXTERNAL,
    ):
        assert f"`{namespace}/{secret}`" in guide
