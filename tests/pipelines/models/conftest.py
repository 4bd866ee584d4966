"""A registry as the pipeline leaves it, made by MLflow's REST API, which is quicker than to train and to publish."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.model.aliases import HISTORY_SUFFIX
from components.common.model.lineage import Lineage
from pipelines.local.home import Home
from pipelines.local.mlflow_api import call_mlflow
from pipelines.local.platform import Platform
from pipelines.models.server_reader import ServerReader
from tests.records import lineage

MODEL = "read-only"
METRICS = {"test_accuracy": 0.99, "test_loss": 0.03, "loss_of_nothing": "NaN"}


def tags_of(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


@pytest.fixture(scope="session")
def post(platform: Platform) -> Callable[..., dict[str, Any]]:
    """Call a method of the session's MLflow."""

    def call(method: str, **payload: Any) -> dict[str, Any]:
        return call_mlflow(platform.tracking_uri, method, payload)

    return call


def _put_records(tracking_uri: str, artifact_uri: str, records: Lineage, scratch: Path) -> dict[str, str]:
    """Store the records as those of a version, and return the version's tags."""
    records.save(scratch / "lineage")
    files = {f"lineage/{path.name}": path for path in (scratch / "lineage").iterdir()}
    for name, path in files.items():
        place = f"{artifact_uri.removeprefix('mlflow-artifacts:/')}/model/{name}"
        url = f"{tracking_uri}/api/2.0/mlflow-artifacts/artifacts/{place}"
        urllib.request.urlopen(urllib.request.Request(url, path.read_bytes(), method="PUT")).close()
    return {**records.tags(), "model_files": json.dumps(dict.fromkeys(files, "d" * 64)), "image_size": "old"}


@pytest.fixture(scope="session")
def run_id(
    platform: Platform, post: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The run that registered `MODEL`, which has three versions: one with records, one without, one deleted."""
    experiment = post("experiments/create", name="of read-only")["experiment_id"]
    tags = {"step": "pipeline", "dataset": "stripes", "decision": "register", "model_name": MODEL}
    made = post(
        "runs/create",
        experiment_id=experiment,
        run_name="read-only-fast",
        start_time=10_000,
        tags=tags_of(tags),
    )["run"]["info"]
    run_id: str = made["run_id"]
    metrics = [
        {"key": key, "value": value, "timestamp": 1, "step": step}
        for key, value in METRICS.items()
        for step in (0, 1)
    ]
    params = tags_of({"config.recipe": "fast", "config.epochs": "2"})
    post("runs/log-batch", run_id=run_id, metrics=metrics, params=params)
    post("runs/update", run_id=run_id, status="FINISHED", end_time=52_000)
    post("runs/create", experiment_id=experiment, run_name="a step", tags=tags_of({"step": "train"}))
    records = _put_records(
        platform.tracking_uri,
        made["artifact_uri"],
        lineage(MODEL, "1"),
        tmp_path_factory.mktemp("records"),
    )
    for name in (MODEL, MODEL + HISTORY_SUFFIX):
        post("registered-models/create", name=name)
    source = f"{made['artifact_uri']}/model"
    for given in (records, {"recipe": "seed"}, {}):
        post("model-versions/create", name=MODEL, source=source, run_id=run_id, tags=tags_of(given))
    post("registered-models/alias", name=MODEL, alias="champion", version="2")
    post("registered-models/alias", name=MODEL, alias="challenger", version="2")
    move = {"action": "register", "before": "", "after": "1", "who": "a test", "why": "", "applied": "true"}
    post(
        "model-versions/create", name=MODEL + HISTORY_SUFFIX, source=f"models:/{MODEL}/1", tags=tags_of(move)
    )
    _delete_version(platform.tracking_uri, "3")
    return run_id


def _delete_version(tracking_uri: str, version: str) -> None:
    payload = json.dumps({"name": MODEL, "version": version}).encode()
    headers = {"Content-Type": "application/json"}
    url = f"{tracking_uri}/api/2.0/mlflow/model-versions/delete"
    urllib.request.urlopen(urllib.request.Request(url, payload, headers, method="DELETE")).close()


@pytest.fixture(scope="session")
def server(platform: Platform, run_id: str) -> ServerReader:
    """A reader of the session's MLflow, which has `MODEL`."""
    assert run_id
    return ServerReader(platform.tracking_uri)


@pytest.fixture
def stopped(home: Home, tmp_path: Path) -> Home:
    """The session's home as it is when nobody runs its platform: without the lock of the running one."""
    for part in ("mlflow", "store"):
        (tmp_path / part).symlink_to(home.path / part)
    return Home(tmp_path)
