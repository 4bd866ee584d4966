import json
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from packaging.requirements import Requirement

from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.exchange import EXCHANGE, ONNX_FILE, Exchange
from components.common.model.runtime import RuntimeClassifier
from components.common.model.stored_version import verified_lineage
from components.register.publish import Registration, publish
from components.register.verify import verify
from tests.linear_models import BINARY, save_candidate
from tests.records import COLOUR, lineage
from tests.servers import Platform

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def name() -> str:
    return f"model-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def published(platform: Platform, candidate: Path) -> Registration:
    """A first version, made by the pipeline run "first", for tests that change nothing in it."""
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as environment:
        for variable, value in platform.environment.items():
            environment.setenv(variable, value)
        run_id = MlflowClient().create_run("0").info.run_id
        records = lineage(f"model-{uuid.uuid4().hex}", "first", summary="**good**")
        return publish(candidate, records, run_id=run_id)


@pytest.fixture
def first(mlflow_client: "MlflowClient", candidate: Path, name: str, mlflow_run_id: str) -> Registration:
    """The first version of `name`, made by the pipeline run "first"."""
    assert mlflow_client is not None
    return publish(candidate, lineage(name, "first", summary="**good**"), run_id=mlflow_run_id)


def test_the_first_version_is_the_champion(
    mlflow_client: "MlflowClient", first: Registration, mlflow_run_id: str
) -> None:
    version = mlflow_client.get_model_version(first.name, "1")
    assert first == Registration(
        first.name, "1", f"models:/{first.name}/1", aliases=("challenger", "champion")
    )
    assert set(version.aliases) == {"challenger", "champion"}
    assert {"dataset", "model_files", "model_digest"} <= version.tags.keys()
    assert version.tags["pipeline_run_id"] == "first"
    assert (version.description, version.run_id, version.status) == ("**good**", mlflow_run_id, "READY")
    assert mlflow_client.get_run(mlflow_run_id).info.status == "RUNNING"


def test_a_version_predicts_from_uint8_images(mlflow_client: "MlflowClient", published: Registration) -> None:
    import mlflow

    assert mlflow_client is not None
    served = mlflow.pyfunc.load_model(published.uri)
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    probabilities = served.predict(images)
    assert (probabilities.shape, probabilities.dtype) == ((3, 10), np.float32)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.array_equal(served.predict({"image": images}), probabilities)
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        served.predict(images.astype(np.float64))


def test_a_version_names_schema_and_pinned_requirements(
    mlflow_client: "MlflowClient", published: Registration
) -> None:
    from mlflow.models import get_model_info
    from mlflow.pyfunc import get_model_dependencies

    assert mlflow_client is not None
    described = get_model_info(published.uri).signature.to_dict()
    assert '"dtype": "uint8", "shape": [-1, 28, 28, 1]' in described["inputs"]
    assert '"dtype": "float32", "shape": [-1, 10]' in described["outputs"]
    lines = Path(get_model_dependencies(published.uri)).read_text().splitlines()
    required = {requirement.name: requirement for requirement in map(Requirement, lines)}
    assert required.keys() - {"tensorflow", "tensorflow-cpu"} == {"mlflow", "keras", "numpy"}
    assert all(str(requirement.specifier).startswith("==") for requirement in required.values())


@pytest.mark.parametrize("spec", [COLOUR, BINARY], ids=["colour", "binary"])
def test_a_version_of_any_images_names_its_classes_and_answers_on_images_of_its_data(
    mlflow_client: "MlflowClient", name: str, mlflow_run_id: str, spec: ImageSpec, tmp_path: Path
) -> None:
    import mlflow
    from mlflow.models import get_model_info

    split = save_candidate(tmp_path, spec)
    published = publish(tmp_path, lineage(name, "run", spec=spec), run_id=mlflow_run_id)

    about = get_model_info(published.uri)
    assert about.metadata == {"classes": list(spec.classes), "pictures": "any"}
    assert about.signature.inputs.inputs[0].shape == (-1, *spec.shape)
    tags = mlflow_client.get_model_version(name, "1").tags
    assert (tags["image_size"], json.loads(tags["classes"])) == (spec.size, list(spec.classes))
    directory = Path(mlflow.artifacts.download_artifacts(published.uri))
    with np.load(directory / "known_answers.npz") as known:
        np.testing.assert_array_equal(known["images"], split.images)
        assert known["probabilities"].argmax(axis=1).tolist() == split.labels.tolist()
    assert Classifier(directory).spec == spec


def test_a_list_of_classes_that_is_too_long_for_a_tag_is_left_out(
    mlflow_client: "MlflowClient", name: str, mlflow_run_id: str, tmp_path: Path
) -> None:
    spec = ImageSpec(30, 30, 1, tuple(f"class number {number}" for number in range(400)))
    save_candidate(tmp_path, spec)
    publish(tmp_path, lineage(name, "run", spec=spec), run_id=mlflow_run_id)
    tags = mlflow_client.get_model_version(name, "1").tags
    assert tags["image_size"] == "30 x 30 x 1"
    assert "classes" not in tags


def test_a_version_holds_the_onnx_file_under_its_digests(
    mlflow_client: "MlflowClient", published: Registration, tmp_path: Path
) -> None:
    sound = verify(mlflow_client, published.name, "1", tmp_path / "model")
    tags = mlflow_client.get_model_version(published.name, "1").tags
    assert {"onnx/model.onnx", "onnx/exchange.json"} <= json.loads(tags["model_files"]).keys()
    assert "10 validation images" in tags["onnx"]
    images = np.random.default_rng(0).integers(0, 256, (9, 28, 28, 1), dtype=np.uint8)
    found, expected = (
        kind(sound.directory).probabilities(images) for kind in (RuntimeClassifier, Classifier)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_candidate_whose_onnx_file_answers_otherwise_is_refused(
    mlflow_client: "MlflowClient", name: str, candidate: Path, mlflow_run_id: str, tmp_path: Path
) -> None:
    directory = tmp_path / "candidate"
    shutil.copytree(candidate, directory)
    Exchange(problem="its ONNX file must be right but is not: build it.").save(directory / EXCHANGE)
    with pytest.raises(PipelineError, match=r"^its ONNX file must be right but is not: build it\.$"):
        publish(directory, lineage(name, "run"), run_id=mlflow_run_id)
    assert not mlflow_client.search_registered_models(f"name = '{name}'")


def test_a_candidate_whose_onnx_file_was_changed_is_refused(
    mlflow_client: "MlflowClient", name: str, candidate: Path, mlflow_run_id: str, tmp_path: Path
) -> None:
    directory = tmp_path / "candidate"
    shutil.copytree(candidate, directory)
    model = onnx.load(directory / ONNX_FILE)
    for weights in model.graph.initializer:
        if len(weights.dims) == 2:
            weights.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), weights.name))
    onnx.save(model, directory / ONNX_FILE)
    with pytest.raises(PipelineError, match="^its ONNX file must give the model's answers within"):
        publish(directory, lineage(name, "run"), run_id=mlflow_run_id)
    assert not mlflow_client.search_registered_models(f"name = '{name}'")


def test_the_model_lies_in_the_object_store(
    mlflow_client: "MlflowClient", published: Registration, s3_client: "S3Client", platform: Platform
) -> None:
    model_id = mlflow_client.get_model_version(published.name, "1").source.removeprefix("models:/")
    experiment_id = mlflow_client.get_logged_model(model_id).experiment_id
    key = f"mlflow/{experiment_id}/models/{model_id}/artifacts/data/model.keras"
    assert s3_client.head_object(Bucket=platform.bucket, Key=key)["ContentLength"] > 0


def test_the_next_run_makes_the_next_champion(
    mlflow_client: "MlflowClient", first: Registration, candidate: Path, mlflow_run_id: str
) -> None:
    second = publish(candidate, lineage(first.name, "second", champion_version="1"), run_id=mlflow_run_id)
    assert second.version == "2"
    assert mlflow_client.get_model_version_by_alias(first.name, "champion").version == "2"
    assert mlflow_client.get_model_version(first.name, "1").aliases == []


def test_a_version_keeps_the_records_of_its_run(
    mlflow_client: "MlflowClient", published: Registration
) -> None:
    assert verified_lineage(mlflow_client, published.name, "1") == lineage(
        published.name, "first", summary="**good**"
    )


def test_a_version_of_before_has_no_records(mlflow_client: "MlflowClient", name: str) -> None:
    mlflow_client.create_registered_model(name)
    run = mlflow_client.create_run("0")
    mlflow_client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    assert verified_lineage(mlflow_client, name, "1", allow_unsigned=True) is None


@pytest.mark.parametrize(
    "call", ["create_model_version", "update_model_version", "set_registered_model_alias"]
)
def test_a_crash_leaves_the_champion_and_the_next_attempt_ends_the_work(
    mlflow_client: "MlflowClient",
    first: Registration,
    candidate: Path,
    mlflow_run_id: str,
    call: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def second_run() -> Registration:
        return publish(candidate, lineage(first.name, "second", champion_version="1"), run_id=mlflow_run_id)

    def crash(*_: Any, **__: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as crashing:
        crashing.setattr(f"mlflow.MlflowClient.{call}", crash)
        with pytest.raises(ConnectionError):
            second_run()
    assert mlflow_client.get_model_version_by_alias(first.name, "champion").version == "1"

    assert second_run().version == "2"
    assert mlflow_client.get_model_version_by_alias(first.name, "champion").version == "2"
    assert len(mlflow_client.search_model_versions(f"name = '{first.name}'")) == 2


def test_a_champion_that_the_candidate_was_not_compared_with_stays(
    mlflow_client: "MlflowClient", first: Registration, candidate: Path, mlflow_run_id: str
) -> None:
    with pytest.raises(
        PipelineError, match=r"must still be version \(none\) but is now 1, moved by pipeline run first"
    ):
        publish(candidate, lineage(first.name, "second"), run_id=mlflow_run_id)
    aliases = mlflow_client.get_registered_model(first.name).aliases
    assert {alias: str(version) for alias, version in aliases.items()} == {"champion": "1", "challenger": "2"}
