"""The lineage of a version that was made while MLflow was away."""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.model.stored_version import verified_lineage
from components.common.plan.run import RunPlan
from components.common.provenance import code_digest
from components.evaluate.judge import EvaluationInputs
from components.evaluate.step import evaluate_step, gate_step
from components.ingest.step import ingest_step
from components.preprocess.step import preprocess_step
from components.register.check_step import check_changes_step
from components.register.step import register_step
from components.train.step import train_step
from tests.records import judgement_digest

if TYPE_CHECKING:
    from mlflow import MlflowClient

OPTIONS = {
    "data.version": "7",
    "data.fraction": 0.3,
    "gate.min_accuracy": 0.0,
    "training.filters": [[4]],
    "training.dense_units": 8,
    "training.epochs": 1,
}


@pytest.fixture
def run_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def plan(tmp_path: Path, run_id: str, monkeypatch: pytest.MonkeyPatch) -> RunPlan:
    """The plan of a run whose steps up to the gate found no MLflow."""
    with monkeypatch.context() as away:
        for name in ("MLFLOW_TRACKING_URI", "S3_ENDPOINT_URL", "S3_BUCKET"):
            away.delenv(name, raising=False)
        ingest_step(
            {"data.source": "digits", "recipe": "seed", "search.trials": 6},
            {**OPTIONS, "registry.model": f"model-{run_id}"},
            run_id=run_id,
            run_name="away",
            gpu_count="0",
            plan_target=tmp_path,
            raw_target=tmp_path / "raw",
        )
        plan = RunPlan.load(tmp_path)
        development, test, model = (tmp_path / name for name in ("development", "test", "model"))
        preprocess_step(plan, tmp_path / "raw", development=development, test=test)
        assert check_changes_step(plan, development) == "train"
        train_step(plan, development, model)
        inputs = EvaluationInputs(test=test, development=development, baseline=model, tuned=model)
        evaluate_step(plan, inputs, target=tmp_path / "evaluation", candidate=tmp_path / "candidate")
        assert gate_step(plan, tmp_path / "evaluation") == "register"
    return plan


def test_a_run_with_mlflow_away_until_register_registers_a_version_with_its_whole_lineage(
    plan: RunPlan, mlflow_client: "MlflowClient", tmp_path: Path
) -> None:
    evaluation = tmp_path / "evaluation"
    done = register_step(
        plan,
        candidate=tmp_path / "candidate",
        evaluation=evaluation,
        judgement_digest=judgement_digest(evaluation),
    )

    version = mlflow_client.get_model_version(done.name, done.version)
    kept = verified_lineage(mlflow_client, done.name, done.version)
    assert kept is not None
    assert kept.plan == plan
    assert kept.training.dataset.raw.version == "7"
    assert version.tags.items() >= kept.tags().items()
    assert version.tags["split_seed"] == "23"
    assert version.tags["fraction"] == "0.3"
    assert version.tags["code_digest"] == code_digest()
    assert version.tags["test_digest"] == kept.training.dataset.test_digest
    assert {"raw_files", "raw_digest", "compute.cpus", "git_sha", "lock_digest"} <= version.tags.keys()
    assert mlflow_client.get_run(version.run_id).info.run_name == "away"
