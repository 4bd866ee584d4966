from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from mlflow.exceptions import MlflowException

from components.common.data.dataset import Split
from components.common.errors import PipelineError, StatedError, UnavailableError
from components.common.model.classifier import Classifier
from components.evaluate import champion
from components.evaluate.champion import fetch_champion
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


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ("{'model.keras': \"HTTPError('404 Client Error: NOT FOUND for url: ...')\"}", PipelineError),
        ("An error occurred (NoSuchKey) when calling the GetObject operation", PipelineError),
        (
            "{'model.keras': \"HTTPError('503 Server Error: SERVICE UNAVAILABLE for url: ...')\"}",
            UnavailableError,
        ),
        ("{'model.keras': \"HTTPError('429 Client Error: TOO MANY REQUESTS')\"}", UnavailableError),
        ("{'model.keras': \"ConnectionError('Connection aborted.')\"}", UnavailableError),
    ],
)
def test_an_outage_of_the_store_behind_mlflow_is_none_of_the_champion(
    failure: str, kind: type[StatedError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise MlflowException(
            f"The following failures occurred while downloading one or more artifacts: {failure}"
        )

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", fail)
    with pytest.raises(kind):
        champion._download(champion.ChampionModel("bands-cnn", "3", tmp_path / "fetched"))


@pytest.fixture
def registry(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> "MlflowClient":
    from mlflow import MlflowClient

    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    return MlflowClient()


def _register(registry: "MlflowClient", name: str, model: Path) -> str:
    import keras
    import mlflow
    from mlflow.models import infer_signature

    run_id = registry.create_run("0").info.run_id
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.keras.log_model(
            keras.models.load_model(model / "model.keras", compile=False),
            name=name,
            signature=infer_signature(np.zeros((1, 28, 28), np.uint8), np.zeros((1, 10), np.float32)),
            pip_requirements=["keras"],
        )
    version = registry.create_model_version(name, logged.model_uri, run_id, model_id=logged.model_id)
    return str(version.version)


def test_finds_the_version_that_holds_the_alias(
    registry: "MlflowClient", make_model: Callable[..., Path], split: Split, tmp_path: Path
) -> None:
    name = "champion-found"
    assert fetch_champion(name, tmp_path) is None
    registry.create_registered_model(name)
    version = _register(registry, name, make_model(0.0))
    assert fetch_champion(name, tmp_path) is None
    registry.set_registered_model_alias(name, "champion", version)
    _register(registry, name, make_model(1.0))

    found = fetch_champion(name, tmp_path / "fetched")

    assert found is not None
    assert (found.name, found.version) == (name, version)
    assert (Classifier(found.directory).probabilities(split.images).argmax(axis=1) == split.labels).all()


def test_a_champion_whose_files_are_gone_is_an_error(registry: "MlflowClient", tmp_path: Path) -> None:
    name = "champion-gone"
    registry.create_registered_model(name)
    run = registry.create_run("0")
    source = f"{run.info.artifact_uri}/model"
    version = registry.create_model_version(name, source, run.info.run_id).version
    registry.set_registered_model_alias(name, "champion", version)

    with pytest.raises(PipelineError, match=rf"champion {name} v{version} must be .* move the alias"):
        fetch_champion(name, tmp_path)
