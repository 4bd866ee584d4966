"""`mnist-pipeline models register`, on the session's servers."""

import uuid
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner, Result

from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.common.model.kept_candidate import fetch_candidate, keep_candidate
from components.common.storage.files import file_digests
from components.common.tracking.tree import close_pipeline_run, find_pipeline_run, open_pipeline_run
from pipelines.cli.main import app
from pipelines.local.home import Home
from tests.linear_models import save_candidate
from tests.records import judgement, judgement_digest, run_plan
from tests.servers import Platform

NAME = "taken-up"


@pytest.fixture
def run_id(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> str:
    """Kubeflow's id of a run that failed at its last step."""
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    run_id = uuid.uuid4().hex
    open_pipeline_run(run_id, f"run-{run_id}", "taken-up")
    close_pipeline_run(run_id, succeeded=False, message="the pod was lost")
    return run_id


def _keep(run_id: str, directory: Path, name: str = NAME) -> None:
    model = directory / "candidate"
    model.mkdir()
    save_candidate(model, MNIST_SPEC)
    judgement(candidate_files=file_digests(model)).save(directory)
    keep_candidate("evaluate", run_plan(run_id, model_name=name), model, directory)


def _register(home: Home, run: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["models", "register", run, *options, "--home", str(home.path)])


def test_the_candidate_of_a_run_is_registered_once(run_id: str, home: Home, tmp_path: Path) -> None:
    _keep(run_id, tmp_path)

    assert _register(home, f"run-{run_id}").stdout.splitlines()[-1] == f"{NAME} version 1 is the new champion"

    client = MlflowClient()
    run = find_pipeline_run(client, run_id)
    assert run is not None
    assert (run.info.status, run.data.tags["model_version"]) == ("FINISHED", "1")
    assert client.get_registered_model(NAME).aliases["champion"] == "1"
    assert fetch_candidate(run_id, tmp_path) is None
    again = _register(home, run.info.run_id)
    assert again.stdout == f"run run-{run_id} has registered {NAME} version 1 already\n"
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 1


def test_the_judgement_must_have_the_digest_that_is_given(run_id: str, home: Home, tmp_path: Path) -> None:
    _keep(run_id, tmp_path, "taken-up-by-digest")
    error = _register(home, f"run-{run_id}", "--judgement", "0" * 64).exception
    assert isinstance(error, PipelineError)
    assert f"judgement.json must have the sha256 {'0' * 64} that the output of evaluate records" in str(error)
    assert not MlflowClient().search_registered_models("name = 'taken-up-by-digest'")

    assert _register(home, f"run-{run_id}", "--judgement", judgement_digest(tmp_path)).exit_code == 0


def test_a_run_without_a_candidate_is_refused(run_id: str, home: Home) -> None:
    error = _register(home, f"run-{run_id}").exception
    assert isinstance(error, PipelineError)
    assert f"must keep a candidate of run run-{run_id} but keeps none" in str(error)


def test_a_run_that_goes_on_is_left_alone(run_id: str, home: Home) -> None:
    client = MlflowClient()
    run = find_pipeline_run(client, run_id)
    assert run is not None
    client.update_run(run.info.run_id, status="RUNNING")
    error = _register(home, run.info.run_id).exception
    client.set_terminated(run.info.run_id, "KILLED")
    assert isinstance(error, PipelineError)
    assert "must have ended" in str(error)


def test_a_run_must_exist(run_id: str, home: Home) -> None:
    error = _register(home, run_id[::-1]).exception
    assert isinstance(error, PipelineError)
    assert "must have the name or id of a run" in str(error)
