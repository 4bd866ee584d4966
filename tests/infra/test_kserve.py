"""What KServe is told about `mnist-pipeline serve` is true of it."""

from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
from typer.main import get_command

from components.common.data.spec import MNIST_SPEC
from pipelines.cli.serve import app
from pipelines.models.serve import ModelServer
from pipelines.models.served import Served
from tests.infra.manifests import INFRA, Resource, kustomize, of_kind


@pytest.fixture(scope="module")
def runtime() -> Resource:
    (found,) = of_kind(kustomize(INFRA / "kserve"), "ServingRuntime")
    return found


def test_the_service_names_the_runtime_and_an_account() -> None:
    resources = kustomize(INFRA / "kserve")
    names = {resource["kind"]: resource["metadata"]["name"] for resource in resources}
    (service,) = of_kind(resources, "InferenceService")
    predictor = service["spec"]["predictor"]
    assert predictor["serviceAccountName"] == names["ServiceAccount"]
    assert predictor["model"]["runtime"] == names["ServingRuntime"]
    (runtime,) = of_kind(resources, "ServingRuntime")
    formats = {supported["name"] for supported in runtime["spec"]["supportedModelFormats"]}
    assert predictor["model"]["modelFormat"]["name"] in formats
    assert {resource["metadata"]["namespace"] for resource in resources} == {"kubeflow"}


def test_the_runtime_calls_the_command_as_it_is(runtime: Resource) -> None:
    (container,) = runtime["spec"]["containers"]
    assert container["name"] == "kserve-container"
    assert container["command"] == ["python3", "-m", "pipelines.cli.main", "serve"]
    given = get_command(app).make_context("serve", list(container["args"])).params
    (port,) = container["ports"]
    assert (given["port"], given["host"]) == (port["containerPort"], "0.0.0.0")  # noqa: S104
    assert str(given["directory"]) == "/mnt/models"
    model: Any = SimpleNamespace(spec=MNIST_SPEC)
    server = ModelServer(Served(model, 0.5, "model", "7")).application()
    paths = {route.path for route in server.routes}  # type: ignore[attr-defined]
    for probe in ("readinessProbe", "livenessProbe"):
        request = container[probe]["httpGet"]
        assert request["path"] in paths
        assert request["port"] == given["port"]


def test_the_server_cannot_start_without_the_keys_that_it_checks_signatures_with(runtime: Resource) -> None:
    (container,) = runtime["spec"]["containers"]
    (source,) = (given["valueFrom"] for given in container["env"] if given["name"] == "MODEL_PUBLIC_KEYS")
    assert source["configMapKeyRef"] == {"name": "mnist-model-keys", "key": "MODEL_PUBLIC_KEYS"}
    assert "--allow-unsigned" not in container["args"]


def test_its_pod_follows_the_schema_and_is_restricted(runtime: Resource) -> None:
    specification = {"containers": runtime["spec"]["containers"], "volumes": runtime["spec"]["volumes"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "model"}, "spec": specification}
    assert kubernetes_validate.validate(pod, "1.36", strict=True) == "1.36"
    (container,) = specification["containers"]
    own = container["securityContext"]
    assert own["runAsNonRoot"]
    assert not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in specification["volumes"]}
