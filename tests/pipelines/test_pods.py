"""What pods are given when the pipeline is compiled, read from the compiled package."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import ParseDict
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig

from components.common.errors import PipelineError
from pipelines.compile import compile_pipeline
from pipelines.environment import STEP_LABEL
from pipelines.parameters import pod_settings, request
from pipelines.pipeline import mnist_pipeline
from pipelines.pods import PLAIN, quantity, use_pods
from tests.pipelines.conftest import IMAGE

GIVEN = (
    "cpu_limit=2500m",
    "memory_limit=6Gi",
    "queue=team-a",
    "queue_priority=low",
    'pod_labels={"example.com/cost-center": "42", "team": ""}',
    'pull_secrets=["registry", "mirror"]',
)


@pytest.fixture
def compiled(tmp_path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The two documents of a package with all settings; the pipeline is as before afterwards."""
    target = tmp_path / "pipeline.yaml"
    compile_pipeline(target, IMAGE, pods=pod_settings(GIVEN))
    spec, platform = yaml.safe_load_all(target.read_text())
    yield spec, platform
    use_pods(PLAIN, mnist_pipeline)


def test_every_step_is_given_the_settings(compiled: tuple[dict[str, Any], dict[str, Any]]) -> None:
    spec, platform = compiled
    containers = {
        name: executor["container"] for name, executor in spec["deploymentSpec"]["executors"].items()
    }
    for container in containers.values():
        resources = container["resources"]
        assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == ("2500m", "6Gi")
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == containers.keys()
    for executor in executors.values():
        config = ParseDict(executor, KubernetesExecutorConfig())
        labels = dict(config.pod_metadata.labels)
        assert labels.pop(STEP_LABEL)
        assert labels == {
            "example.com/cost-center": "42",
            "kueue.x-k8s.io/priority-class": "low",
            "kueue.x-k8s.io/queue-name": "team-a",
            "team": "",
        }
        secrets = [secret.secret_name_parameter.runtime_value.constant for secret in config.image_pull_secret]
        assert [constant.string_value for constant in secrets] == ["registry", "mirror"]


def test_nothing_of_it_stays_in_the_next_package(package: Path, tmp_path: Path) -> None:
    compile_pipeline(tmp_path / "given.yaml", IMAGE, pods=pod_settings(GIVEN))
    compile_pipeline(tmp_path / "plain.yaml", IMAGE)
    assert (tmp_path / "given.yaml").read_bytes() != package.read_bytes()
    assert (tmp_path / "plain.yaml").read_bytes() == package.read_bytes()


def test_in_kubernetes_each_choice_is_a_version_of_its_own(tmp_path: Path) -> None:
    """A PipelineVersion cannot be changed, and is named after the image."""
    names = []
    for number, settings in enumerate(([], ["queue=team-a"], ["queue=team-b"])):
        target = tmp_path / f"{number}.yaml"
        compile_pipeline(target, IMAGE, pods=pod_settings(settings), kubernetes_manifests=True)
        _, version = yaml.safe_load_all(target.read_text())
        names.append(version["metadata"]["name"])
    use_pods(PLAIN, mnist_pipeline)
    assert len(set(names)) == 3
    assert all(name.startswith(f"{names[0]}-") for name in names[1:])


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2), ("0.5", 0.5), ("1500m", 1.5), ("4Gi", 4 * 2**30), ("1k", 1000), ("1.5G", 1.5e9)],
)
def test_a_quantity_is_the_number_that_kubernetes_reads(text: str, number: float) -> None:
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("memory_limit=4GB", "memory_limit must be a quantity of Kubernetes such as"),
        ("memory_limit=", "memory_limit must be a quantity of Kubernetes such as"),
        ("cpu_limit=-1", "cpu_limit must be a quantity of Kubernetes such as"),
        ("queue=a b", "queue must be a value that a label of Kubernetes can have but is 'a b'."),
        ("queue={{workflow.name}}", "queue must be a value that a label of Kubernetes can have but is"),
        ("pod_labels=team", "pod_labels must be a valid dictionary but is 'team'."),
        ('pod_labels={"team": 1}', "pod_labels must be text but is 1."),
        ('pod_labels={"a/b/c": "1"}', "pod_labels must have names that labels of Kubernetes can have"),
        ('pod_labels={"team": "a/b"}', "pod_labels must be a value that a label of Kubernetes can have"),
        ('pod_labels={"mnist-pipeline/step": "x"}', "pod_labels must leave the prefix mnist-pipeline to its"),
        ('pull_secrets="registry"', "pull_secrets must be a valid list but is 'registry'."),
        ('pull_secrets=["Registry"]', "pull_secrets must hold names of Secrets but has 'Registry'."),
        ("trials=3", "--set must name one of cpu_limit, memory_limit, queue, "),
    ],
)
def test_a_setting_that_breaks_its_rule_is_an_error(setting: str, message: str) -> None:
    with pytest.raises(PipelineError) as refused:
        pod_settings([setting])
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("setting", ["cpu_limit=499m", "memory_limit=2047Mi"])
def test_a_limit_is_not_below_what_a_step_asks_for(setting: str, tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"_limit must be at least (500m|2Gi), which a step asks for, but"
    ):
        compile_pipeline(tmp_path / "pipeline.yaml", IMAGE, pods=pod_settings([setting]))
    use_pods(PLAIN, mnist_pipeline)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_is_compiled_the_settings_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"memory_limit must be given where the pipeline is compiled"):
        request(["memory_limit=4Gi"])
    asked = request(["memory_limit=4Gi", "trials=2"], compiles=True)
    assert (asked.pods.memory_limit, asked.arguments()) == ("4Gi", {"trials": 2})
    assert asked.on("/data").preferring({}).pods == asked.pods
