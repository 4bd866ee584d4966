import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.provenance import code_digest, lock_digest
from components.common.tracking.run import find_pipeline_run, open_pipeline_run, step_run
from components.register.step import close_run_step, register_step

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture
def run_id(mlflow_client: "MlflowClient", monkeypatch: pytest.MonkeyPatch) -> str:
    """Kubeflow's id of a pipeline run that is open in MLflow."""
    assert mlflow_client is not None
    monkeypatch.setenv("GIT_SHA", "3f2a" * 10)
    monkeypatch.setenv("STEP_IMAGE", "mnist-pipeline@sha256:3f2a")
    run_id = uuid.uuid4().hex
    open_pipeline_run(run_id, "stripes-fast", "registrations")
    return run_id


def test_a_version_carries_its_lineage_and_the_runs_name_it(
    mlflow_client: "MlflowClient",
    run_id: str,
    candidate: Path,
    evaluation: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = find_pipeline_run(mlflow_client, run_id)
    assert opened is not None
    mlflow_client.set_tag(opened.info.run_id, "raw_digest", "d" * 64)
    with monkeypatch.context() as other_machine:
        other_machine.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        other_machine.setattr("os.sched_getaffinity", lambda _: range(64))
        with step_run(run_id, "train-tuned") as training_run:
            training_run.set_tags({"weights_digest": "a" * 64})

    registration = register_step(candidate, evaluation, run_id, "")

    version = mlflow_client.get_model_version("stripes-cnn", registration.version)
    tags = version.tags
    assert (
        tags.items()
        >= {
            "git_sha": "3f2a" * 10,
            "git_dirty": "false",
            "image": "mnist-pipeline@sha256:3f2a",
            "recipe": "fast",
            "seed": "7",
            "config": "{}",
            "dataset": "stripes",
            "data_digest": "b" * 64,
            "test_digest": "c" * 64,
            "raw_digest": "d" * 64,
            "weights_digest": "a" * 64,
            "pipeline_run_id": run_id,
            "mlflow_run_id": version.run_id,
            "code_digest": code_digest(),
            "lock_digest": lock_digest(),
            "verdict": "first",
            "temperature": "0.5",
            "reject_below": "0.9",
            "model_card": f"runs:/{version.run_id}/model_card.md",
            "compute.TF_ENABLE_ONEDNN_OPTS": "0",
            "compute.cpus": "64",
        }.items()
    )
    assert {"model_files", "model_digest"} <= tags.keys()
    assert version.description == "Register: first champion"
    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    assert (version.run_id, parent.info.status) == (parent.info.run_id, "RUNNING")
    below = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and tags.step = 'register'"
    (step,) = mlflow_client.search_runs([parent.info.experiment_id], below)
    assert (step.info.run_name, step.info.status) == ("register | stripes-fast", "FINISHED")
    for run in (step, parent):
        named = run.data.tags["model_name"], run.data.tags["model_version"]
        assert named == ("stripes-cnn", registration.version)


def test_a_version_comes_from_the_run_that_kubeflow_injects(
    mlflow_client: "MlflowClient",
    run_id: str,
    candidate: Path,
    evaluation: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment_id = mlflow_client.create_experiment("kubeflow-register")
    parent = mlflow_client.create_run(experiment_id).info.run_id
    task = mlflow_client.create_run(experiment_id, tags={"mlflow.parentRunId": parent}).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", task)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment_id)

    registration = register_step(candidate, evaluation, run_id, "injected-model")

    version = mlflow_client.get_model_version("injected-model", registration.version)
    assert version.run_id == parent
    assert mlflow_client.get_run(task).data.tags["model_version"] == registration.version


@pytest.mark.parametrize(
    ("uri", "named"),
    [("", "MLFLOW_TRACKING_URI is not set"), ("http://127.0.0.1:9", "MLFLOW_TRACKING_URI is http://127")],
)
def test_without_mlflow_nothing_can_be_registered(
    candidate: Path,
    evaluation: Path,
    uri: str,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SystemExit) as ended:
        register_step(candidate, evaluation, "run", "")
    assert ended.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("[register] error: ")
    assert named in last


@pytest.mark.parametrize(
    ("state", "tags", "status"),
    [
        ("SUCCEEDED", {}, "FINISHED"),
        ("FAILED", {}, "FAILED"),
        # What Kubeflow's driver gives is the exit handler's state in ML Metadata. It stays RUNNING where a condition
        # left steps out, and where a pod was killed.
        ("COMPLETE", {}, "FINISHED"),
        ("RUNNING", {}, "FAILED"),
        ("RUNNING", {"decision": "skip"}, "FINISHED"),
        ("RUNNING", {"decision": "keep"}, "FINISHED"),
        ("RUNNING", {"decision": "register"}, "FAILED"),
        ("FAILED", {"decision": "register", "model_version": "1"}, "FINISHED"),
    ],
)
def test_kubeflows_last_word_closes_the_run(
    mlflow_client: "MlflowClient", run_id: str, state: str, tags: dict[str, str], status: str
) -> None:
    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    for key, value in tags.items():
        mlflow_client.set_tag(parent.info.run_id, key, value)

    close_run_step(run_id, state, "why")

    parent = mlflow_client.get_run(parent.info.run_id)
    assert (parent.info.status, parent.data.tags["error"]) == (status, "why")
