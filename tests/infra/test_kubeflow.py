"""Kubeflow's own manifests come from GitHub; what we put on top of them is checked on a model of what it changes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.manifests import INFRA, Resource, containers_of, kustomize, of_kind, overlay, pod_of
from tests.infra.test_references import SECRETS

KUBEFLOW = INFRA / "kubeflow"
# The parts of release 2.17.0 that the patches touch.
UPSTREAM = """
apiVersion: v1
kind: Secret
metadata: {name: mlpipeline-minio-artifact, namespace: kubeflow}
stringData: {accesskey: minio, secretkey: minio123}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ml-pipeline, namespace: kubeflow}
spec:
  selector: {matchLabels: {app: ml-pipeline}}
  template:
    metadata: {labels: {app: ml-pipeline}}
    spec:
      containers:
        - name: ml-pipeline-api-server
          image: ghcr.io/kubeflow/kfp-api-server:2.17.0
          volumeMounts:
            - {name: mlflow-tracking-ca, mountPath: /etc/mlflow-tracking-ca, readOnly: true}
      volumes:
        - {name: mlflow-tracking-ca, configMap: {name: mlflow-tracking-ca, optional: true}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: seaweedfs, namespace: kubeflow}
spec:
  selector: {matchLabels: {app: seaweedfs}}
  template:
    metadata: {labels: {app: seaweedfs}}
    spec:
      containers:
        - name: seaweedfs
          image: ghcr.io/chrislusf/seaweedfs:4.34
          args: ["server", "-dir=/data", "-s3", "-iam", "-filer"]
          volumeMounts:
            - {name: data, mountPath: /data}
      volumes:
        - {name: data, persistentVolumeClaim: {claimName: seaweedfs-pvc}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kfp-launcher, namespace: kubeflow}
data: {defaultPipelineRoot: ""}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: workflow-controller-configmap, namespace: kubeflow}
data:
  artifactRepository: "archiveLogs: true"
  executor: |
    imagePullPolicy: IfNotPresent
    securityContext:
      runAsNonRoot: true
      runAsUser: 65532
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
      seccompProfile: {type: RuntimeDefault}
  workflowDefaults: |
    spec:
      ttlStrategy:
        secondsAfterCompletion: 3600
        secondsAfterSuccess: 3600
        secondsAfterFailure: 3600
      templateDefaults:
        retryStrategy:
          limit: '2'
          retryPolicy: OnError
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: workflow-controller
  namespace: kubeflow
spec:
  template:
    spec:
      containers:
        - name: workflow-controller
          image: workflow-controller
          env:
            - name: TRANSIENT_ERROR_PATTERN
              value: (?i)preempt
"""


@pytest.fixture(params=["injected", "plain"])
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Resource, ...]:
    shutil.copytree(KUBEFLOW, tmp_path / "kubeflow")
    (tmp_path / "upstream").mkdir()
    (tmp_path / "upstream" / "upstream.yaml").write_text(UPSTREAM)
    (tmp_path / "upstream" / "kustomization.yaml").write_text("resources: [upstream.yaml]\n")
    standalone = tmp_path / "kubeflow" / "standalone" / "kustomization.yaml"
    content = yaml.safe_load(standalone.read_text())
    content["resources"] = ["../../upstream"]
    standalone.write_text(yaml.safe_dump(content))
    return kustomize(tmp_path / "kubeflow" / request.param)


def _deployment(resources: tuple[Resource, ...], name: str) -> Resource:
    (deployment,) = [d for d in of_kind(resources, "Deployment") if d["metadata"]["name"] == name]
    return deployment


def test_the_api_server_reads_our_configuration(rendered: tuple[Resource, ...]) -> None:
    deployment = _deployment(rendered, "ml-pipeline")
    (config,) = [c for c in of_kind(rendered, "ConfigMap") if "config.json" in c["data"]]
    specification = pod_of(deployment)["spec"]
    (container,) = containers_of(specification)
    (mount,) = [m for m in container["volumeMounts"] if m["mountPath"] == "/config/config.json"]
    (volume,) = [v for v in specification["volumes"] if v["name"] == mount["name"]]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert config["metadata"]["namespace"] == deployment["metadata"]["namespace"]
    assert mount["subPath"] in config["data"]
    assert {m["name"] for m in container["volumeMounts"]} == {"configuration", "mlflow-tracking-ca"}


def test_the_default_password_is_gone(rendered: tuple[Resource, ...]) -> None:
    assert of_kind(rendered, "Secret") == []


def test_the_store_reads_the_identities_of_the_secret_and_the_administrators_key(
    rendered: tuple[Resource, ...],
) -> None:
    specification = pod_of(_deployment(rendered, "seaweedfs"))["spec"]
    (container,) = containers_of(specification)
    assert container["args"][0] == "server"
    assert container["args"][-1] == "-s3.config=/etc/seaweedfs-identities/identities.json"
    (mount,) = [m for m in container["volumeMounts"] if m["mountPath"] == "/etc/seaweedfs-identities"]
    (volume,) = [v for v in specification["volumes"] if v["name"] == mount["name"]]
    # The keys themselves, which the Secret holds as well, are not mounted.
    assert [item["key"] for item in volume["secret"]["items"]] == ["identities.json"]
    keys = {entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"] for entry in container["env"]}
    assert keys == dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "mlpipeline-minio-artifact")


def test_the_launcher_stores_artifacts_with_a_key_that_the_steps_account_may_read(
    rendered: tuple[Resource, ...],
) -> None:
    (launcher,) = [c for c in of_kind(rendered, "ConfigMap") if c["metadata"]["name"] == "kfp-launcher"]
    default = yaml.safe_load(launcher["data"]["providers"])["minio"]["default"]
    secret = default["credentials"]["secretRef"]
    assert default["credentials"]["fromEnv"] is False
    (role,) = of_kind(overlay("kind"), "Role")
    readable = {(*rule["resources"], *rule.get("resourceNames", [])) for rule in role["rules"]}
    assert {("secrets", secret["secretName"]), ("configmaps", "kfp-launcher")} <= readable
    assert {secret["accessKeyKey"], secret["secretKeyKey"]} == SECRETS["kubeflow", secret["secretName"]]


def test_a_step_that_was_stopped_or_met_an_outage_is_tried_again(rendered: tuple[Resource, ...]) -> None:
    def defaults(resources: tuple[Resource, ...]) -> Resource:
        (data,) = [c["data"] for c in of_kind(resources, "ConfigMap") if "workflowDefaults" in c["data"]]
        assert "artifactRepository" in data
        loaded: Resource = yaml.safe_load(data["workflowDefaults"])["spec"]
        return loaded

    ours, theirs = defaults(rendered), defaults(tuple(yaml.safe_load_all(UPSTREAM)))
    # Without the policy the one of a step's own number of retries would hold, which ignores what Kubernetes lost.
    theirs["templateDefaults"]["retryStrategy"] |= {
        "limit": "6",
        "retryPolicy": "Always",
        "expression": 'lastRetry.status == "Error" || (asInt(lastRetry.exitCode) in [75, 137, 143] '
        '&& !(lastRetry.message contains "OOMKilled"))',
        "backoff": {"duration": "30s", "factor": "2", "cap": "10m"},
    }
    assert ours == theirs


def test_argos_containers_differ_from_the_releases_in_resources_alone(
    rendered: tuple[Resource, ...],
) -> None:
    ours, theirs = (
        yaml.safe_load(data["executor"])
        for resources in (rendered, tuple(yaml.safe_load_all(UPSTREAM)))
        for data in (c["data"] for c in of_kind(resources, "ConfigMap"))
        if "executor" in data
    )
    assert set(ours.pop("resources")) == {"requests", "limits"}
    assert ours == theirs


def test_a_workflow_fits_etcd_and_is_compressed_late(rendered: tuple[Resource, ...]) -> None:
    (container,) = containers_of(pod_of(_deployment(rendered, "workflow-controller"))["spec"])
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment.keys() == {"MAX_WORKFLOW_SIZE", "TRANSIENT_ERROR_PATTERN"}
    assert 1024 * 1024 < int(environment["MAX_WORKFLOW_SIZE"]) < 1.5 * 1024 * 1024


def configuration(variant: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((KUBEFLOW / variant / "config.json").read_text())
    return loaded


def test_the_integration_reaches_our_mlflow() -> None:
    for variant in ("injected", "plain"):
        plugin = configuration(variant)["plugins"]["mlflow"]
        (settings,) = [
            c["data"] for c in of_kind(overlay("kind"), "ConfigMap") if "MLFLOW_TRACKING_URI" in c["data"]
        ]
        assert plugin["endpoint"] == settings["MLFLOW_TRACKING_URI"]
        # The default, "kubernetes", sends the API server's token to MLflow.
        assert plugin["settings"]["authType"] == "none"


def test_the_variants_differ_in_the_integration_alone() -> None:
    injected, plain = configuration("injected"), configuration("plain")
    ours, theirs = (found.pop("plugins")["mlflow"]["settings"] for found in (injected, plain))
    assert injected == plain
    assert (ours.pop("injectUserEnvVars"), theirs.pop("injectUserEnvVars")) == (True, False)
    assert set(ours) == set(theirs)
    # Where the pipeline keeps a tree of its own, Kubeflow's runs stay out of its experiment.
    assert (ours["defaultExperimentName"], theirs["defaultExperimentName"]) == ("mnist-pipeline", "kubeflow")


def test_one_release_is_pinned() -> None:
    remote = [
        resource
        for path in KUBEFLOW.rglob("kustomization.yaml")
        for resource in yaml.safe_load(path.read_text())["resources"]
        if not resource.startswith(".")
    ]
    assert len(remote) == 2
    for resource in remote:
        assert resource.startswith("github.com/kubeflow/pipelines/manifests/kustomize/")
        # The commit of the tag 2.17.0.
        assert resource.endswith("?ref=4a3592cb2dd0a91a4652ab93893ec8beda1f3158&timeout=300s")
