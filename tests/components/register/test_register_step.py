import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.errors import TRY_AGAIN
from components.common.storage.files import file_digests
from components.common.tracking.step import step_run
from components.common.tracking.tree import find_pipeline_run, open_pipeline_run
from components.register.step import close_run_step, register_step
from tests.records import judgement, judgement_digest, run_plan, training_record

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
    mlflow_client: "MlflowClient", run_id: str, candidate: Path, evaluation: Path
) -> None:
    provenance = {"git_sha": "3f2a" * 10, "git_dirty": "false", "code_digest": "e" * 64}
    machine = {"compute.cpus": "64", "compute.TF_ENABLE_ONEDNN_OPTS": "0"}
    training = training_record(provenance=provenance, environment=machine, runtime={"onednn": "0"})
    judgement(training=training, candidate_files=file_digests(candidate)).save(evaluation)
    plan = run_plan(run_id)

    registration = register_step(
        plan, candidate=candidate, evaluation=evaluation, judgement_digest=judgement_digest(evaluation)
    )

    version = mlflow_client.get_model_version("stripes-cnn", registration.version)
    expected = {
        **provenance,
        **machine,
        "compute.onednn": "0",
        "recipe": "fast",
        "seed": "7",
        "config": "{}",
        "plan_digest": plan.digest(),
        "dataset": "stripes",
        "data_source": "made up",
        "data_digest": "b" * 64,
        "test_digest": "c" * 64,
        "raw_digest": "d" * 64,
        "split_seed": "23",
        "stratify": "False",
        "fraction": "1.0",
        "weights_digest": "a" * 64,
        "pipeline_run_id": run_id,
        "mlflow_run_id": version.run_id,
        "verdict": "first",
        "temperature": "0.5",
        "reject_below": "0.9",
        "model_card": f"runs:/{version.run_id}/model_card.md",
    }
    assert version.tags.items() >= expected.items()
    assert {"model_files", "model_digest", "raw_files"} <= version.tags.keys()
    assert "data_version" not in version.tags
    assert version.description == "Register: first champion"
    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    assert (version.run_id, parent.info.status) == (parent.info.run_id, "FINISHED")
    below = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' and tags.step = 'register'"
    (step,) = mlflow_client.search_runs([parent.info.experiment_id], below)
    assert (step.info.run_name, step.info.status) == ("register | stripes-fast", "FINISHED")
    for run in (step, parent):
        named = run.data.tags["model_name"], run.data.tags["model_version"]
        assert named == ("stripes-cnn", registration.version)


def test_a_candidate_that_is_not_the_one_that_was_judged_is_refused(
    mlflow_client: "MlflowClient",
    run_id: str,
    candidate: Path,
    evaluation: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "other"
    shutil.copytree(candidate, other)
    (other / "added").write_text("")
    with pytest.raises(SystemExit):
        register_step(
            run_plan(run_id, model_name="judged"),
            candidate=other,
            evaluation=evaluation,
            judgement_digest=judgement_digest(evaluation),
        )
    assert "must be the model that was judged but added differs: run" in capsys.readouterr().out
    assert not mlflow_client.search_registered_models("name = 'judged'")


def test_a_judgement_that_is_not_the_one_that_was_handed_on_is_refused(
    mlflow_client: "MlflowClient",
    run_id: str,
    candidate: Path,
    evaluation: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every step can write to the artifacts of a run."""
    digest = judgement_digest(evaluation)
    judgement(candidate_files=file_digests(candidate), reject_below=0.1).save(evaluation)
    plan = run_plan(run_id, model_name="judged")
    with pytest.raises(SystemExit):
        register_step(plan, candidate=candidate, evaluation=evaluation, judgement_digest=digest)
    said = capsys.readouterr().out
    assert f"judgement.json must have the sha256 {digest} that the output of evaluate records but has" in said
    assert not mlflow_client.search_registered_models("name = 'judged'")


def test_a_candidate_that_did_not_pass_is_refused(
    mlflow_client: "MlflowClient",
    run_id: str,
    candidate: Path,
    evaluation: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The gate reads what every step can write to."""
    judgement(candidate_files=file_digests(candidate), action="keep").save(evaluation)
    plan, digest = run_plan(run_id, model_name="judged"), judgement_digest(evaluation)
    with pytest.raises(SystemExit):
        register_step(plan, candidate=candidate, evaluation=evaluation, judgement_digest=digest)
    assert "must be to register it but is to keep what there is: run" in capsys.readouterr().out
    assert not mlflow_client.search_registered_models("name = 'judged'")


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

    plan = run_plan(run_id, model_name="injected-model")
    registration = register_step(
        plan, candidate=candidate, evaluation=evaluation, judgement_digest=judgement_digest(evaluation)
    )

    version = mlflow_client.get_model_version("injected-model", registration.version)
    assert version.run_id == parent
    assert mlflow_client.get_run(task).data.tags["model_version"] == registration.version


@pytest.mark.parametrize(
    ("uri", "named", "status"),
    [
        ("", "MLFLOW_TRACKING_URI is not set", 1),
        ("http://127.0.0.1:9", "needs MLflow at http://127.0.0.1:9", TRY_AGAIN),
    ],
)
def test_without_mlflow_nothing_can_be_registered(
    candidate: Path,
    evaluation: Path,
    uri: str,
    named: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("OUTAGE_SECONDS", "0")
    with pytest.raises(SystemExit) as ended:
        register_step(
            run_plan(),
            candidate=candidate,
            evaluation=evaluation,
            judgement_digest=judgement_digest(evaluation),
        )
    assert ended.value.code == status
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("[register] error: ")
    assert named in last


@pytest.mark.parametrize(
    ("state", "ended", "status"),
    [
        ("SUCCEEDED", False, "FINISHED"),
        ("FAILED", False, "FAILED"),
        # Kubeflow's driver gives the exit handler's state in ML Metadata. It stays RUNNING where a condition left steps
        # out, and where a pod was killed. It is FAILED where a step failed that succeeded when it was tried again.
        ("COMPLETE", False, "FINISHED"),
        ("RUNNING", False, "FAILED"),
        ("RUNNING", True, "FINISHED"),
        ("FAILED", True, "FINISHED"),
    ],
)
def test_a_run_that_came_to_its_end_has_succeeded_whatever_kubeflow_makes_of_it(
    mlflow_client: "MlflowClient", run_id: str, state: str, ended: bool, status: str
) -> None:
    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    if ended:
        with step_run(run_id, "gate") as run:
            run.parent.close()

    close_run_step(run_id, state, "why")

    parent = mlflow_client.get_run(parent.info.run_id)
    assert parent.info.status == status
    assert parent.data.tags.get("error") == ("why" if status == "FAILED" else None)
