"""Real trainings against a real registry: what becomes of a worse, of the same and of a better model."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.data.dataset import Split, open_split
from components.common.plan.training import TrainConfig
from components.common.tracking.tree import find_pipeline_run, open_pipeline_run
from components.evaluate.judge import EvaluationInputs
from components.evaluate.step import evaluate_step, gate_step
from components.register.step import register_step
from components.train.fit import fit_model
from tests.records import judgement_digest, prepared, run_plan

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NAME = "verdicts-cnn"


def _trained(development: Path, target: Path, epochs: int, batch_size: int) -> Path:
    config = TrainConfig(
        filters=((8,),), dense_units=32, learning_rate=0.003, epochs=epochs, batch_size=batch_size
    )
    fit_model(development, config, recipe="fast", target=target, on_epoch=lambda _: None)
    return target


@pytest.fixture(scope="module")
def good(development: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _trained(development, tmp_path_factory.mktemp("good"), epochs=3, batch_size=32)


@pytest.fixture(scope="module")
def poor(development: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch on one hundredth of the data."""
    directory = tmp_path_factory.mktemp("poor")
    whole = open_split(development, "train")
    count = len(whole.labels) // 100
    few = Split(whole.images[:count], whole.labels[:count], whole.spec)
    splits = {"train": few, "validation": open_split(development, "validation")}
    prepared(directory / "data", splits, "bands")
    return _trained(directory / "data", directory / "model", epochs=1, batch_size=len(few.labels))


@pytest.mark.usefixtures("few_figures")
def test_only_a_better_model_takes_the_champions_place(
    mlflow_client: "MlflowClient", test_data: Path, development: Path, good: Path, poor: Path, tmp_path: Path
) -> None:
    def pipeline(model: Path, run_id: str) -> "Run":
        """Judge a model, and register it where the gate says so; return the pipeline's run."""
        open_pipeline_run(run_id, run_id, "verdicts")
        target, candidate = tmp_path / run_id / "evaluation", tmp_path / run_id / "candidate"
        plan = run_plan(run_id, dataset="bands", model_name=NAME, min_accuracy=0.0)
        inputs = EvaluationInputs(test=test_data, development=development, baseline=model, tuned=model)
        evaluate_step(plan, inputs, target=target, candidate=candidate)
        if gate_step(plan, target) == "register":
            register_step(
                plan, candidate=candidate, evaluation=target, judgement_digest=judgement_digest(target)
            )
        run = find_pipeline_run(mlflow_client, run_id)
        assert run is not None
        return run

    def champion() -> str:
        return str(mlflow_client.get_registered_model(NAME).aliases["champion"])

    def decisions() -> list[str]:
        tags = mlflow_client.get_registered_model(NAME).tags
        return [value for name, value in tags.items() if name.startswith("decisions.")]

    first = pipeline(poor, "first")
    assert (first.data.tags["verdict"], champion(), decisions()) == ("first", "1", [])

    same = pipeline(poor, "same")
    assert (same.data.tags["verdict"], same.data.tags["decision"]) == ("identical", "keep")
    assert decisions() == []
    assert len(mlflow_client.search_model_versions(f"name = '{NAME}'")) == 1

    better = pipeline(good, "better")
    assert (better.data.tags["verdict"], better.data.tags["decision"]) == ("better", "register")
    assert better.data.metrics["mcnemar_p"] < 0.05
    version = mlflow_client.get_model_version(NAME, champion())
    assert (version.version, version.tags["verdict"]) == ("2", "better")
    assert decisions() == ["1 better"]
    assert float(version.tags["temperature"]) == better.data.metrics["temperature"]
    files = {file.path for file in mlflow_client.list_artifacts(better.info.run_id)}
    assert version.tags["model_card"] == f"runs:/{better.info.run_id}/model_card.md"
    assert {"model_card.md", "report.html", "evaluation.json"} <= files

    worse = pipeline(poor, "worse")
    assert (worse.data.tags["verdict"], worse.data.tags["decision"]) == ("worse", "keep")
    assert worse.data.metrics["test_accuracy_gain"] < 0
    assert float(worse.data.params["config.epochs"]) == 1
    assert champion() == "2"
    assert decisions() == ["2 worse"]
    assert "decision 2 on this test split" in worse.data.tags["decision_reasons"]
