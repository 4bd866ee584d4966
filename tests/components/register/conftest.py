"""A tiny candidate and its evaluation, as the earlier steps leave them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.data.spec import MNIST_SPEC
from components.common.storage.files import file_digests
from tests.linear_models import save_candidate
from tests.records import judgement

if TYPE_CHECKING:
    from mlflow import MlflowClient

# For tests that are to hold whatever database MLflow keeps its history in.
ON_EITHER_DATABASE = pytest.mark.parametrize(
    "mlflow_client", ["platform", "postgres_platform"], ids=["sqlite", "postgresql"], indirect=True
)


@pytest.fixture(scope="session")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of images in MNIST's form."""
    directory = tmp_path_factory.mktemp("candidate")
    save_candidate(directory, MNIST_SPEC)
    return directory


@pytest.fixture
def evaluation(tmp_path: Path, candidate: Path) -> Path:
    """The verdict on the candidate when there is no champion."""
    judgement(candidate_files=file_digests(candidate)).save(tmp_path)
    return tmp_path


@pytest.fixture
def mlflow_run_id(mlflow_client: "MlflowClient") -> str:
    """The MLflow run that a version comes from."""
    return str(mlflow_client.create_run("0").info.run_id)
