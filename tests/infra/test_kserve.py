"""What KServe is told about `mnist-pipeline serve` is true of it."""

from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
from typer.main import get_command

from components.common.data.spec import MNIST_SPEC
from pipelines.cli.kserve import app as kserve_commands
from pipelines.cli.serve import app as serve_command
from pipelines.cluster.kserve import ACCOUNT, MANAGER, RUNTIME, Rollout, inference_service
from pipelines.models.serve import ModelServer
from pipelines.models.served import Served
from tests.infra.manifests import INFRA, Resource, containers_of, kustomize, of_kind
from tests.infra.test_security import violations


@pytest.fixture(scope="module")
def runtime() -> Resource:
    (found,) = of_kind(kustomize(INFRA / "kserve"), "ServingRuntime")
    return found


@pytest.fixture(scope="module")
def following() -> tuple[Resource, ...]:
    return kustomize(INFRA / "kserve" / "follow")


@pytest.fixture
def service() -> Resource:
    rollout = Rollout("mnist", "kubeflow", 10, "s3://watched/requests", 0.5)
    return inference_service("digits", "7", "s3://bucket/mlflow/1/models/m/artifacts", rollout)


def test_the_service_names_the_runtime_and_an_account(runtime: Resource, service: Resource) -> None:
    resources = kustomize(INFRA / "kserve")
    names = {resource["kind"]: resource["metadata"]["name"] for resource in resources}
    predictor = service["spec"]["predictor"]
    assert predictor["serviceAccountName"] == names["ServiceAccount"] == ACCOUNT
    assert predictor["model"]["runtime"] == names["ServingRuntime"] == RUNTIME
    formats = {supported["name"] for supported in runtime["spec"]["supportedModelFormats"]}
    assert predictor["model"]["modelFormat"]["name"] in formats
    assert {resource["metadata"]["namespace"] for resource in [*resources, service]} == {"kubeflow"}


def test_the_runtime_calls_the_command_as_it_is(runtime: Resource, service: Resource) -> None:
    (container,) = runtime["spec"]["containers"]
    assert container["name"] == "kserve-container"
    assert container["command"] == ["python3", "-m", "pipelines.cli.main", "serve"]
    # KServe puts the service's own behind.
    arguments = [*container["args"], *service["spec"]["predictor"]["model"]["args"]]
    given = get_command(serve_command).make_context("serve", arguments).params
    (port,) = container["ports"]
    assert (given["port"], given["host"]) == (port["containerPort"], "0.0.0.0")  # noqa: S104
    assert (str(given["directory"]), given["version"]) == ("/mnt/models", "7")
    assert (given["log_requests"], given["sample"]) == ("s3://watched/requests", 0.5)
    model: Any = SimpleNamespace(spec=MNIST_SPEC)
    server = ModelServer(Served(model, 0.5, "model", "7")).application()
    paths = {route.path for route in server.routes}  # type: ignore[attr-defined]
    for probe in ("readinessProbe", "livenessProbe"):
        request = container[probe]["httpGet"]
        assert request["path"] in paths
        assert request["port"] == given["port"]
    scraped = runtime["spec"]["annotations"]
    assert scraped["prometheus.kserve.io/path"] in paths
    assert scraped["prometheus.kserve.io/port"] == str(given["port"])


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


def test_the_job_that_follows_renders_as_the_command_does_and_may_change_that_service_alone(
    following: tuple[Resource, ...],
) -> None:
    for resource in following:
        kubernetes_validate.validate(resource, "1.36", strict=True)
    (job,) = of_kind(following, "CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]
    assert violations(pod["spec"]) == []
    render, apply = containers_of(pod["spec"])
    assert render["command"] == ["python3", "-m", "pipelines.cli.main", "kserve", "render"]
    command = get_command(kserve_commands).get_command(None, "render")  # type: ignore[attr-defined]
    given = command.make_context("render", list(render["args"])).params
    assert apply["args"] == [f"--filename={given['output']}"]
    # A field that one manager gave and another does not would stay.
    assert f"--field-manager={MANAGER}" in apply["command"]
    (role,) = of_kind(following, "Role")
    (rule,) = role["rules"]
    assert rule["resourceNames"] == [given["service"]]
    assert role["metadata"]["namespace"] == given["namespace"]
    (policy,) = of_kind(following, "NetworkPolicy")
    (client,) = policy["spec"]["ingress"][0]["from"]
    assert client["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
