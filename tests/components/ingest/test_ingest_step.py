import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.errors import PipelineError
from components.common.tracking.run import find_pipeline_run
from components.ingest.collect import IngestConfig
from components.ingest.step import ingest_step, refuse_foreign_model

if TYPE_CHECKING:
    from mlflow import MlflowClient


def _register_stripes(client: "MlflowClient", tags: dict[str, str]) -> str:
    name = f"model-{uuid.uuid4().hex}"
    client.create_registered_model(name)
    run = client.create_run("0")
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)
    return name


def test_a_model_of_another_data_set_is_refused(mlflow_client: "MlflowClient") -> None:
    name = _register_stripes(mlflow_client, {"dataset": "stripes"})
    with pytest.raises(
        PipelineError, match=rf"'{name}' holds 'stripes' and this run is on 'dots': choose another"
    ):
        refuse_foreign_model(name, "dots")


@pytest.mark.parametrize("tags", [{"dataset": "stripes"}, {}])
def test_a_model_of_the_same_data_set_is_not(mlflow_client: "MlflowClient", tags: dict[str, str]) -> None:
    refuse_foreign_model(_register_stripes(mlflow_client, tags), "stripes")


def test_a_model_yet_to_be_made_is_not(mlflow_client: "MlflowClient") -> None:
    assert mlflow_client is not None
    refuse_foreign_model("never-registered", "stripes")


@pytest.mark.parametrize("name", ["team/model", "model:1", "it's"])
def test_a_name_that_mlflow_would_refuse_in_the_end_is_refused(
    mlflow_client: "MlflowClient", name: str
) -> None:
    assert mlflow_client is not None
    with pytest.raises(PipelineError, match=r"model_name must be without . but got"):
        refuse_foreign_model(name, "stripes")


def test_without_a_registry_there_is_nothing_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    refuse_foreign_model("model", "stripes")


def test_a_registry_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PipelineError, match=r"needs MLflow at http://127\.0\.0\.1:9"):
        refuse_foreign_model("model", "stripes")


@pytest.mark.usefixtures("no_object_store")
def test_the_first_step_opens_the_run_and_says_what_it_is_on(
    mlflow_client: "MlflowClient", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SHA", "3f2a" * 10)
    run_id = uuid.uuid4().hex
    info = ingest_step(
        IngestConfig("digits", version="v1"), run_id, "digits-fast", "ingests", "", tmp_path / "raw"
    )

    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    tags = {name: value for name, value in parent.data.tags.items() if not name.startswith("mlflow.")}
    assert tags == {
        "pipeline_run_id": run_id,
        "step": "pipeline",
        "dataset": "digits",
        "data_version": "v1",
        "data_source": info.source,
        "raw_digest": info.digest,
        "raw_files": json.dumps(info.files),
        "model_name": "digits-cnn",
        "git_sha": "3f2a" * 10,
    }
    (step,) = mlflow_client.search_runs([parent.info.experiment_id], "tags.step = 'ingest'")
    assert step.data.metrics == {"images.train": info.counts["train"], "images.test": info.counts["test"]}
    assert [file.path for file in mlflow_client.list_artifacts(step.info.run_id)] == ["source.json"]


def test_data_for_another_data_sets_model_fails_the_step(
    mlflow_client: "MlflowClient", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = _register_stripes(mlflow_client, {"dataset": "stripes"})
    with pytest.raises(SystemExit):
        ingest_step(
            IngestConfig("digits"), uuid.uuid4().hex, "digits-fast", "ingests", name, tmp_path / "raw"
        )
    assert capsys.readouterr().out.splitlines()[-1].startswith("[ingest] error: a registered model holds one")
