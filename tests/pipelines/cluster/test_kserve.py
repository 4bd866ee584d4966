import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.common.model.exchange import ONNX_FILE
from components.common.storage.object_store import ObjectStore
from components.register.publish import publish
from pipelines.cluster.kserve import Rollout, inference_service, version_storage
from pipelines.local.platform import Platform
from tests.linear_models import save_candidate
from tests.pipelines.cluster.conftest import CommandLine
from tests.pipelines.cluster.kubernetes_api import kubernetes_api
from tests.records import lineage

NAME = "served-by-kserve"
# The image of `serve` has none of these.
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(["tensorflow", "keras", "mlflow", "kfp", "yaml", "scipy", "sklearn", "onnx"]))
from pipelines.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def registered(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registered model with one version, the champion."""
    from mlflow import MlflowClient

    directory = tmp_path_factory.mktemp("candidate")
    save_candidate(directory, MNIST_SPEC)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in platform.environment.items():
            environment.setenv(name, value)
        publish(directory, lineage(NAME, "run"), run_id=MlflowClient().create_run("0").info.run_id)
    return NAME


@pytest.fixture
def named(platform: Platform, registered: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, with the servers in the environment."""
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    return registered


def test_a_version_is_rendered_where_the_image_of_serve_is_and_the_store_has_its_files(
    named: str, platform: Platform, tmp_path: Path
) -> None:
    output = tmp_path / "service.json"
    arguments = ["--model", named, "--home", str(tmp_path / "home"), "--output", str(output)]
    command = [sys.executable, "-c", WITHOUT, "kserve", "render", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    service = json.loads(output.read_text())
    assert service["metadata"]["annotations"] == {
        "mnist-pipeline/model": named,
        "mnist-pipeline/version": "1",
    }
    predictor = service["spec"]["predictor"]
    assert "canaryTrafficPercent" not in predictor
    storage = predictor["model"]["storageUri"]
    assert storage.startswith(f"s3://{platform.bucket}/mlflow/")
    store, prefix = ObjectStore.for_uri(storage)
    assert f"{prefix}/{ONNX_FILE}" in store.keys(f"{prefix}/")


def test_a_canary_is_applied_and_taken_back_with_kubectl(
    named: str, mnist_pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    given = ("kserve", "apply", "--model", named, "--home", str(tmp_path / "home"))
    with kubernetes_api(tmp_path / "config") as applied:
        path = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices/digits"
        for canary, share in (("10", "10% of the"), ("0", "0% of the"), (None, "all")):
            more = ("--canary", canary) if canary else ()
            done = mnist_pipeline(*given, "--service", "digits", "--namespace", "models", *more)
            assert (done.status, done.err) == (0, [])
            assert done.out == [
                "inferenceservice.serving.kserve.io/digits serverside-applied",
                f"digits gives {share} requests to {named} version 1",
            ]
            predictor = applied[path]["spec"]["predictor"]
            assert predictor.get("canaryTrafficPercent") == (int(canary) if canary else None)
    refused = mnist_pipeline(*given)
    assert refused.status == 1
    assert "the cluster must take InferenceService mnist but refuses (" in refused.err[-1]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "kubectl must be installed but is not" in mnist_pipeline(*given).err[-1]


def test_requests_are_logged_with_keys_of_their_own() -> None:
    rollout = Rollout("mnist", "kubeflow", None, "s3://watched/requests", 0.25)
    model: dict[str, Any] = inference_service("a", "7", "s3://b/c", rollout)["spec"]["predictor"]["model"]
    assert model["args"] == ["--version", "7", "--log-requests", "s3://watched/requests", "--sample", "0.25"]
    assert model["envFrom"] == [{"secretRef": {"name": "mnist-model-log"}}]


@pytest.mark.parametrize("service", ["", "Mnist", "a_b", "a-", "1a", "a" * 51, "a\n"])
def test_a_service_has_a_name_that_kubernetes_takes(service: str) -> None:
    with pytest.raises(PipelineError, match="--service must be small letters, digits and -"):
        inference_service("a", "7", "s3://b/c", Rollout(service, "kubeflow"))


def test_files_must_be_in_a_store_of_objects(named: str, tmp_path: Path) -> None:
    assert version_storage(tmp_path, named, "1", "s3://other/place/").startswith("s3://other/place/")
    with pytest.raises(PipelineError, match="must lie in an object store but is at /mlruns/"):
        version_storage(tmp_path, named, "1", "/mlruns")
