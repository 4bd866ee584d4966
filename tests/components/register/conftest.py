"""A tiny candidate and its evaluation, as the earlier steps leave them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.model.training_record import MODEL_FILE, Epoch, Training
from components.common.plan.training import TrainConfig
from components.train.model import build_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

# For tests that are to hold whatever database MLflow keeps its history in.
ON_EITHER_DATABASE = pytest.mark.parametrize(
    "mlflow_client", ["platform", "postgres_platform"], ids=["sqlite", "postgresql"], indirect=True
)


@pytest.fixture(scope="session")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest model of the `train` step, untrained."""
    directory = tmp_path_factory.mktemp("candidate")
    build_model(TrainConfig(filters=((1,),), dense_units=1)).save(directory / MODEL_FILE)
    Training(
        recipe="fast",
        seed=7,
        config={},
        parameters=707,
        validation_accuracy=0.9,
        validation_loss=0.3,
        history=[Epoch(1, 0.4, 0.8, 0.3, 0.9, 1.0)],
        seconds=1.0,
        images_per_second=100.0,
        weights_digest="a" * 64,
        dataset_name="stripes",
        dataset_digest="b" * 64,
        runtime={},
    ).save(directory)
    return directory


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """The verdict on the candidate when there is no champion."""
    judged = {
        "dataset": {"name": "stripes", "digest": "c" * 64},
        "champion": None,
        "calibration": {"temperature": 0.5},
        "selective": {"threshold": 0.9},
        "decision": {"verdict": "first"},
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(judged))
    (tmp_path / "summary.md").write_text("## Register: first champion")
    return tmp_path


@pytest.fixture
def mlflow_run_id(mlflow_client: "MlflowClient") -> str:
    """The MLflow run that a version comes from."""
    return str(mlflow_client.create_run("0").info.run_id)
