"""Runs that would make the champion again end early, and no others."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.common.errors import TRY_AGAIN
from components.common.plan.run import RunPlan
from components.common.provenance import code_digest
from components.common.storage.files import file_digests
from components.common.tracking.tree import find_pipeline_run, open_pipeline_run
from components.register import changes
from components.register.check_step import check_changes_step
from components.register.step import register_step
from tests.records import judgement, judgement_digest, prepared, random_split, run_plan, training_record
from tests.servers import Platform

if TYPE_CHECKING:
    from mlflow import MlflowClient

TEST_DIGEST = "c" * 64


@pytest.fixture
def make_plan(mlflow_client: "MlflowClient") -> Callable[..., RunPlan]:
    """Plan a run that skips what is done, and open it in MLflow."""
    assert mlflow_client is not None

    def make(model: str, **options: Any) -> RunPlan:
        run_id = uuid.uuid4().hex
        open_pipeline_run(run_id, "stripes-fast", "changes")
        return run_plan(run_id, model_name=model, **{"skip_if_unchanged": True, **options})

    return make


@pytest.fixture
def make_development(tmp_path: Path) -> Callable[..., Path]:
    def make(seed: int = 0, test_digest: str = TEST_DIGEST) -> Path:
        directory = tmp_path / f"development-{seed}-{uuid.uuid4().hex}"
        prepared(directory, {"train": random_split(20, seed)}, test_digest=test_digest)
        return directory

    return make


@pytest.fixture(scope="module")
def registered(platform: Platform, candidate: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registered model whose champion was made of `make_development()` and the options of `make_plan`."""
    name, made = f"model-{uuid.uuid4().hex}", tmp_path_factory.mktemp("made")
    data = prepared(made / "data", {"train": random_split(20)}, test_digest=TEST_DIGEST)
    training = training_record(dataset=data, provenance={"code_digest": code_digest()})
    judgement(training=training, candidate_files=file_digests(candidate)).save(made)
    with pytest.MonkeyPatch.context() as environment:
        for variable, value in platform.environment.items():
            environment.setenv(variable, value)
        run_id = uuid.uuid4().hex
        open_pipeline_run(run_id, "stripes-fast", "changes")
        plan = run_plan(run_id, model_name=name, skip_if_unchanged=True)
        register_step(plan, candidate=candidate, evaluation=made, judgement_digest=judgement_digest(made))
    return name


@pytest.fixture
def name(mlflow_client: "MlflowClient", registered: str) -> str:
    mlflow_client.set_registered_model_alias(registered, "champion", "1")
    return registered


def test_a_run_that_would_make_the_champion_again_ends_early_and_says_so(
    mlflow_client: "MlflowClient",
    make_plan: Callable[..., RunPlan],
    make_development: Callable[..., Path],
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = make_plan(name)
    assert check_changes_step(plan, make_development()) == "skip"
    why = f"data, code and plan are those of the champion, {name} version 1"
    assert f"[check-changes] nothing to do: {why}\n" in capsys.readouterr().out
    parent = find_pipeline_run(mlflow_client, plan.run_id)
    assert parent is not None
    assert (parent.data.tags["decision"], parent.data.tags["decision_reasons"]) == ("skip", why)
    assert parent.info.status == "FINISHED"


@pytest.mark.parametrize(
    ("data", "options", "code", "changed"),
    [
        ({"seed": 1}, {}, "", "the data"),
        ({"test_digest": "d" * 64}, {}, "", "the test data"),
        ({}, {}, "e" * 64, "the code"),
        ({}, {"epochs": 3}, "", "the plan"),
        ({}, {"dropout": 0.2}, "", "the plan"),
        ({"seed": 1}, {"trials": 3}, "", "the data, the plan"),
    ],
)
def test_a_change_is_named_and_trained_on(
    make_plan: Callable[..., RunPlan],
    make_development: Callable[..., Path],
    name: str,
    data: dict[str, Any],
    options: dict[str, Any],
    code: str,
    changed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if code:
        monkeypatch.setattr(changes, "code_digest", lambda: code)
    assert check_changes_step(make_plan(name, **options), make_development(**data)) == "train"
    said = f"[check-changes] training, because of {name} version 1 changed: {changed}\n"
    assert said in capsys.readouterr().out


def test_unless_it_is_asked_for_nothing_is_skipped(
    make_plan: Callable[..., RunPlan], make_development: Callable[..., Path], name: str
) -> None:
    assert check_changes_step(make_plan(name, skip_if_unchanged=False), make_development()) == "train"


def test_without_a_champion_there_is_something_to_do(
    mlflow_client: "MlflowClient",
    make_plan: Callable[..., RunPlan],
    make_development: Callable[..., Path],
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mlflow_client.delete_registered_model_alias(name, "champion")
    for model in (name, "never-registered"):
        assert check_changes_step(make_plan(model), make_development()) == "train"
        assert f"because {model} has no champion" in capsys.readouterr().out


def test_an_unsigned_champion_ends_the_run_and_one_without_records_is_not_taken_for_unchanged(
    mlflow_client: "MlflowClient",
    make_plan: Callable[..., RunPlan],
    make_development: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = f"model-{uuid.uuid4().hex}"
    run = mlflow_client.create_run("0")
    mlflow_client.create_registered_model(name)
    mlflow_client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    mlflow_client.set_registered_model_alias(name, "champion", "1")
    with pytest.raises(SystemExit):
        check_changes_step(make_plan(name), make_development())
    assert f"error: {name} version 1 must be signed by a trusted key but it is not" in capsys.readouterr().out
    plan = make_plan(name, registry__allow_unsigned=True)
    assert check_changes_step(plan, make_development()) == "train"
    assert "version 1 changed: its records, which it was registered without" in capsys.readouterr().out


def test_without_mlflow_nothing_is_skipped(
    make_development: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert check_changes_step(run_plan(skip_if_unchanged=True), make_development()) == "train"
    assert "because the champion cannot be known without MLflow" in capsys.readouterr().out


def test_an_outage_does_not_decide_to_train(
    make_development: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("OUTAGE_SECONDS", "0")
    with pytest.raises(SystemExit) as ended:
        check_changes_step(run_plan(skip_if_unchanged=True), make_development())
    assert ended.value.code == TRY_AGAIN
    assert "[check-changes] error: this needs MLflow at " in capsys.readouterr().out
