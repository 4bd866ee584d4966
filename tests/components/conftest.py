"""Small data of MNIST's form, and a bucket of one's own in the object store."""

import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import boto3
import numpy as np
import pytest

from components.common.dataset import Split
from components.common.object_store import ObjectStore
from pipelines.local.mlflow_api import close_abandoned_runs
from pipelines.local.platform import Platform

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def make_split() -> Callable[..., Split]:
    """Random images, all different, with labels 0, 1, ... 9, 0, ..."""

    def make(count: int, seed: int = 0) -> Split:
        images = np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        return Split(images, (np.arange(count) % 10).astype(np.uint8))

    return make


@pytest.fixture
def no_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_ENDPOINT_URL", "S3_BUCKET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def s3_client(platform: Platform) -> "S3Client":
    """A plain client of the embedded store, to look behind the code under test."""
    return boto3.Session(
        aws_access_key_id=platform.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=platform.environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    ).client("s3", endpoint_url=platform.s3_endpoint_url)


@pytest.fixture
def store(platform: Platform, s3_client: "S3Client", monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The store of the environment, on an empty bucket."""
    bucket = f"test-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    for name, value in (platform.environment | {"S3_BUCKET": bucket}).items():
        monkeypatch.setenv(name, value)
    found = ObjectStore.from_environment()
    assert found is not None
    return found


@pytest.fixture
def mlflow_client(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> "Iterator[MlflowClient]":
    """A plain client of an MLflow server, which the environment names as it does in a step.

    The server is the embedded one, or that of the fixture that an indirect parameter names. Runs that are left open
    are closed at the end.
    """
    from mlflow import MlflowClient

    platform: Platform = request.getfixturevalue(getattr(request, "param", "platform"))

    for name in ("MLFLOW_RUN_ID", "MLFLOW_RUN_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    yield MlflowClient()
    close_abandoned_runs(platform.tracking_uri)
