import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import ParseDict
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from components.common.errors import PipelineError
from pipelines.compile import check_image, compile_pipeline, default_image

ROOT = Path(__file__).parents[2]
DIGEST, COMMIT = "3f2a" * 16, "3f2a" * 10
IMAGE = f"registry.example.org:5000/team/mnist-pipeline@sha256:{DIGEST}"

Document = dict[str, Any]


@pytest.mark.parametrize(
    "image",
    [
        f"mnist-pipeline@sha256:{DIGEST}",
        f"mnist-pipeline:v1@sha256:{DIGEST}",
        IMAGE,
        f"mnist-pipeline:{COMMIT}",
        f"localhost:5000/mnist-pipeline:{COMMIT[:12]}",
        f"ghcr.io/team/mnist-pipeline:sha-{COMMIT[:12]}",
    ],
)
def test_an_immutable_reference_is_accepted(image: str) -> None:
    check_image(image)


@pytest.mark.parametrize(
    "image",
    [
        "",
        "mnist-pipeline",
        "localhost:5000/mnist-pipeline",
        "mnist-pipeline:latest",
        "mnist-pipeline:v1",
        "mnist-pipeline:1.2.3",
        "mnist-pipeline:main",
        "mnist-pipeline:unknown",
        f"mnist-pipeline:{COMMIT}-dirty",
        f"mnist-pipeline:{COMMIT[:6]}",
        f"mnist-pipeline@sha256:{DIGEST[:-1]}",
        f"mnist-pipeline:{COMMIT} ",
        f"m\N{LATIN SMALL LETTER U WITH DIAERESIS}nist:{COMMIT}",
    ],
)
def test_a_mutable_reference_is_refused(image: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"by a digest .* or by a commit's hash .* but got"):
        compile_pipeline(tmp_path / "new" / "pipeline.yaml", image)
    assert list(tmp_path.iterdir()) == []


def test_by_default_the_image_is_named_after_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SHA", COMMIT)
    assert default_image() == f"mnist-pipeline:{COMMIT}"
    check_image(default_image())


def test_kubeflow_can_read_both_documents(documents: tuple[Document, Document]) -> None:
    spec, platform = documents
    assert ParseDict(spec, PipelineSpec()).pipeline_info.name == "mnist-pipeline"
    assert list(ParseDict(platform, PlatformSpec()).platforms) == ["kubernetes"]
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert settings.keys() <= spec["deploymentSpec"]["executors"].keys()
    for setting in settings.values():
        ParseDict(setting, KubernetesExecutorConfig())


def test_the_database_of_kubeflow_can_keep_it(package: Path) -> None:
    assert package.read_bytes().isascii()


def test_every_step_runs_in_the_image_and_installs_nothing(documents: tuple[Document, Document]) -> None:
    containers = [executor["container"] for executor in documents[0]["deploymentSpec"]["executors"].values()]
    assert {container["image"] for container in containers} == {IMAGE}
    assert all({"name": "STEP_IMAGE", "value": IMAGE} in container["env"] for container in containers)
    assert "pip install" not in str([container["command"] for container in containers])


def test_a_file_is_replaced_as_a_whole(package: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "pipeline.yaml"
    compile_pipeline(target, f"mnist-pipeline:{COMMIT}")
    assert target.read_bytes() != package.read_bytes()
    compile_pipeline(target, IMAGE)
    assert target.read_bytes() == package.read_bytes()
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_writes_the_same_bytes(package: Path, tmp_path: Path, seed: str) -> None:
    script = f"""
from pathlib import Path
from pipelines.compile import compile_pipeline
compile_pipeline(Path("pipeline.yaml"), {IMAGE!r})
"""
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "pipeline.yaml").read_bytes() == package.read_bytes()


def test_a_target_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path, tmp_path / "file" / "pipeline.yaml"):
        with pytest.raises(PipelineError, match=r"to a file that can be written but .* choose another"):
            compile_pipeline(target, IMAGE)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("image", "version"),
    [
        (IMAGE, f"mnist-pipeline-{DIGEST[:12]}"),
        (f"mnist-pipeline:{COMMIT}", f"mnist-pipeline-{COMMIT[:12]}"),
        ("mnist-pipeline:sha-3f2a3f2a3f2a", "mnist-pipeline-sha-3f2a3f2a"),
    ],
)
def test_kubernetes_resources_are_a_pipeline_and_its_version(
    tmp_path: Path, documents: tuple[Document, Document], image: str, version: str
) -> None:
    target = tmp_path / "pipeline.yaml"
    compile_pipeline(target, image, kubernetes_manifests=True)

    pipeline, pipeline_version = yaml.safe_load_all(target.read_text())
    assert {pipeline["apiVersion"], pipeline_version["apiVersion"]} == {"pipelines.kubeflow.org/v2beta1"}
    assert (pipeline["kind"], pipeline["metadata"]["name"]) == ("Pipeline", "mnist-pipeline")
    assert (pipeline_version["kind"], pipeline_version["metadata"]["name"]) == ("PipelineVersion", version)
    content = pipeline_version["spec"]
    assert content["pipelineName"] == "mnist-pipeline"
    assert content["pipelineSpec"]["root"] == documents[0]["root"]
    assert content["platformSpec"] == documents[1]
