import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError, UnavailableError
from components.common.model.classifier import Classifier
from components.common.model.signing import make_signing_key
from components.evaluate.champion import fetch_champion
from components.register.publish import publish
from tests.linear_models import save_candidate
from tests.records import lineage
from tests.servers import Platform

if TYPE_CHECKING:
    from mlflow import MlflowClient


def test_without_a_registry_there_is_no_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    assert fetch_champion("bands-cnn", tmp_path) is None


def test_a_registry_that_does_not_answer_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("OUTAGE_SECONDS", "0")

    with pytest.raises(UnavailableError, match=r"needs MLflow at http://127\.0\.0\.1:9"):
        fetch_champion("bands-cnn", tmp_path)


@pytest.fixture
def registry(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> "MlflowClient":
    from mlflow import MlflowClient

    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    return MlflowClient()


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Split]:
    directory = tmp_path_factory.mktemp("candidate")
    return directory, save_candidate(directory, MNIST_SPEC)


@pytest.fixture
def name(registry: "MlflowClient", candidate: tuple[Path, Split]) -> str:
    """A registered model of two versions, the first the champion."""
    name, run_id = f"champion-{uuid.uuid4().hex}", registry.create_run("0").info.run_id
    for number, before in ((1, None), (2, "1")):
        publish(candidate[0], lineage(name, f"run {number}", champion_version=before), run_id=run_id)
    registry.set_registered_model_alias(name, "champion", "1")
    return name


def test_finds_the_version_that_holds_the_alias(
    registry: "MlflowClient", name: str, candidate: tuple[Path, Split], tmp_path: Path
) -> None:
    assert fetch_champion("never-registered", tmp_path) is None
    found = fetch_champion(name, tmp_path / "fetched")
    assert found is not None
    assert (found.name, found.version) == (name, "1")
    _, split = candidate
    assert (Classifier(found.directory).probabilities(split.images).argmax(axis=1) == split.labels).all()
    registry.delete_registered_model_alias(name, "champion")
    assert fetch_champion(name, tmp_path) is None


def test_a_champion_that_is_not_what_was_signed_is_not_opened(
    registry: "MlflowClient", name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = registry.get_model_version(name, "1").source.removeprefix("models:/")
    forged = tmp_path / "model.keras"
    forged.write_bytes(b"another model")
    registry.log_model_artifact(model, str(forged))
    with pytest.raises(PipelineError, match=rf"champion {name} v1 must be .*model\.keras is added since"):
        fetch_champion(name, tmp_path / "fetched")

    make_signing_key(tmp_path / "private.pem", tmp_path / "public.pem")
    monkeypatch.delenv("MODEL_SIGNING_KEY")
    monkeypatch.setenv("MODEL_PUBLIC_KEYS", str(tmp_path / "public.pem"))
    with pytest.raises(
        PipelineError, match=rf"{name} version 1 must be signed by a trusted key but .* is not trusted: the"
    ):
        fetch_champion(name, tmp_path / "again")


def test_a_champion_of_before_is_refused_unless_it_may_be_unsigned(
    registry: "MlflowClient", tmp_path: Path
) -> None:
    name = f"champion-{uuid.uuid4().hex}"
    registry.create_registered_model(name)
    run = registry.create_run("0")
    tags = {"model_files": json.dumps({"model/model.keras": "0" * 64})}
    registry.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)
    registry.set_registered_model_alias(name, "champion", "1")
    with pytest.raises(PipelineError, match=r"must be signed by a trusted key but it is not signed"):
        fetch_champion(name, tmp_path / "fetched")
    with pytest.raises(PipelineError, match=rf"champion {name} v1 must be .*missing since.* move the alias"):
        fetch_champion(name, tmp_path / "again", allow_unsigned=True)
