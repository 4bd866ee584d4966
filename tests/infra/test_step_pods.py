"""The pods of the steps, with everything that a package and a run can give them, as Kubernetes would judge them."""

from pathlib import Path

import kubernetes_validate
import pytest

from pipelines.compile import compile_pipeline
from pipelines.environment import MOUNTED
from pipelines.parameters import pod_settings, request
from pipelines.pipeline import mnist_pipeline
from pipelines.pods import PLAIN, use_pods
from tests.infra.manifests import Resource, of_kind, overlay
from tests.infra.step_pods import PROXIES, step_pods
from tests.pipelines.conftest import IMAGE

SETTINGS = (
    "memory_limit=4Gi", "cpu_limit=2", "queue=team-a", 'pod_labels={"team": "vision"}', 'pull_secrets=["registry"]'
)  # fmt: skip
PLACES = (
    'node_selector={"pool": "gpu"}',
    'tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]',
    'node_affinity={"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": '
    '{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}}]}',
)


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Resource]:
    package: Path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(package, IMAGE, pods=pod_settings(SETTINGS))
    use_pods(PLAIN, mnist_pipeline)
    return step_pods(package, request(PLACES).arguments())


@pytest.mark.parametrize("version", ["1.33", "1.36"])
def test_the_pods_follow_the_schema(pods: dict[str, Resource], version: str) -> None:
    assert len(pods) == 11
    for pod in pods.values():
        assert kubernetes_validate.validate(pod, version, strict=True) == version


def test_no_name_is_there_twice_and_no_variable_is_kubeflows_own(pods: dict[str, Resource]) -> None:
    for name, pod in pods.items():
        main = pod["spec"]["containers"][0]
        variables = [variable["name"] for variable in main["env"]]
        assert len(set(variables)) == len(variables), name
        assert not PROXIES & set(variables), name
        volumes = [volume["name"] for volume in pod["spec"]["volumes"]]
        assert len(set(volumes)) == len(volumes), name
        assert {mount["name"] for mount in main["volumeMounts"]} == set(volumes)
        assert set(MOUNTED) <= set(volumes)


def test_a_pod_starts_where_nothing_optional_exists(pods: dict[str, Resource]) -> None:
    for pod in pods.values():
        sources = [
            *(
                reference
                for variable in pod["spec"]["containers"][0]["env"]
                for reference in variable.get("valueFrom", {}).values()
            ),
            *(
                volume[kind]
                for volume in pod["spec"]["volumes"]
                for kind in ("configMap", "secret")
                if kind in volume
            ),
        ]
        assert len(sources) >= len(MOUNTED) + 1
        assert all(source["optional"] for source in sources)


def test_the_patience_of_a_step_ends_before_its_pod_is_stopped(pods: dict[str, Resource]) -> None:
    """Kubeflow's attempts are for pods that are lost; an outage is waited for within one."""
    (settings,) = [c["data"] for c in of_kind(overlay("kind"), "ConfigMap") if "OUTAGE_SECONDS" in c["data"]]
    shortest = min(pod["spec"]["activeDeadlineSeconds"] for pod in pods.values())
    assert 300 < int(settings["OUTAGE_SECONDS"]) < shortest / 2
