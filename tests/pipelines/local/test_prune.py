import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import PipelineError
from components.common.storage.object_store import ObjectStore, content_key
from components.common.tracking import tags
from components.ingest.sources import MNIST_SHA256
from pipelines.local import prune
from pipelines.local.clients import registered_client
from pipelines.local.home import Home
from pipelines.local.keeper_control import end_servers
from pipelines.local.mlflow_api import call_mlflow
from pipelines.local.platform import Platform, embedded_platform
from pipelines.local.prune import prune_home
from pipelines.models.home_reader import opened_home

OLD, SHARED, ORPHAN, MNIST = "a" * 64, "b" * 64, "c" * 64, next(iter(MNIST_SHA256.values()))
NAMES = ("registered", "old", "sharing", "latest-but-one", "latest")


@pytest.fixture(scope="module", autouse=True)
def _no_named_servers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name in ("S3_ENDPOINT_URL", "MLFLOW_TRACKING_URI"):
            patched.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Platform]]:
    """A home of five runs with what they leave; the first has a registered version."""
    home = Home(tmp_path_factory.mktemp("home"))
    with embedded_platform(home) as platform:
        _fill(platform)
        _leave(home)
        yield home, platform
    end_servers(home, force=True)


def _fill(platform: Platform) -> None:
    uri = platform.tracking_uri
    digests = {
        "registered": SHARED,
        "old": OLD,
        "sharing": SHARED,
        "latest-but-one": SHARED,
        "latest": SHARED,
    }
    made = {}
    for start, name in enumerate(NAMES):
        marks = {tags.STEP: tags.PIPELINE, "raw_files": json.dumps({"file": digests[name]})}
        marks[tags.PIPELINE_RUN] = name
        made[name] = _run(uri, name, start, marks)
    step = _run(uri, "a step", 9, {tags.STEP: "train", tags.PARENT: made["old"]})
    _run(uri, "a trial", 9, {tags.PARENT: step})
    model = call_mlflow(
        uri, "logged-models", {"experiment_id": "0", "name": "m", "source_run_id": made["old"]}
    )
    _put(uri, f"0/models/{model['model']['info']['model_id']}/artifacts/MLmodel")
    call_mlflow(uri, "registered-models/create", {"name": "m"})
    version = {
        "name": "m",
        "source": f"mlflow-artifacts:/0/{made['registered']}/artifacts",
        "run_id": made["registered"],
    }
    call_mlflow(uri, "model-versions/create", version)
    with pytest.MonkeyPatch.context() as patched:
        for variable, value in platform.environment.items():
            patched.setenv(variable, value)
        store = ObjectStore(platform.bucket, platform.s3_endpoint_url)
        candidates = [f"candidates/{name}/{OLD}.tar" for name in ("latest", "old")]
        for key in (
            *map(content_key, (OLD, SHARED, ORPHAN, MNIST)),
            "labelled/digits/batch.npz",
            *candidates,
        ):
            store.upload(Path(__file__), key)


def _run(uri: str, name: str, start: int, marks: dict[str, str]) -> str:
    tagged = [{"key": key, "value": value} for key, value in marks.items()]
    given = {"experiment_id": "0", "run_name": name, "start_time": start, "tags": tagged}
    run_id: str = call_mlflow(uri, "runs/create", given)["run"]["info"]["run_id"]
    metric = {"key": "loss", "value": 1.0, "timestamp": 1, "step": 0}
    call_mlflow(uri, "runs/log-batch", {"run_id": run_id, "metrics": [metric]})
    _put(uri, f"0/{run_id}/artifacts/report.html")
    return run_id


def _put(uri: str, path: str) -> None:
    url = f"{uri}/api/2.0/mlflow-artifacts/artifacts/{path}"
    urllib.request.urlopen(urllib.request.Request(url, b"content", method="PUT")).close()


def _leave(home: Home) -> None:
    home.checkpoints.mkdir(exist_ok=True)
    for name in NAMES:
        (home.kfp / name / "model").mkdir(parents=True)
        (home.optuna / f"{name}.log.claims").mkdir()
        for path in (
            home.kfp / name / "model" / "file",
            home.logs / f"{name}.log",
            home.optuna / f"{name}.log",
        ):
            path.write_text("content")
    for name in ("new.npz", "old.npz"):
        (home.checkpoints / name).write_text("state")
    os.utime(home.checkpoints / "old.npz", (0, 0))


def _left(own: tuple[Home, Platform]) -> dict[str, Any]:
    home, platform = own
    with pytest.MonkeyPatch.context() as patched:
        for variable, value in platform.environment.items():
            patched.setenv(variable, value)
        keys = ObjectStore(platform.bucket, platform.s3_endpoint_url).keys("")
    with opened_home(home) as reader:
        runs = [run.name for run in reader.pipeline_runs(100)]
        everything = len(list(reader.database._rows("SELECT * FROM runs")))
        models = len(list(reader.database._rows("SELECT * FROM logged_models")))
    paths = {
        path for part in ("kfp", "logs", "optuna", "checkpoints") for path in (home.path / part).iterdir()
    }
    names = {f"{path.parent.name}/{path.name}" for path in paths}
    return {"keys": keys, "runs": runs, "all": everything, "models": models, "paths": names}


def test_it_says_what_would_go_and_removes_nothing(own: tuple[Home, Platform]) -> None:
    before, said = _left(own), list[str]()
    prune_home(own[0], 2, delete=False, show=said.append)
    assert _left(own) == before
    assert [" ".join(line.split()[:5]) for line in said[:2]] == [
        "runs in MLflow 2, with",
        "artifacts 5 of 0.0 MiB",
    ]
    assert "raw data        none" in said[2]


def test_nothing_of_a_run_in_progress_goes(own: tuple[Home, Platform]) -> None:
    with registered_client(own[0], queued=True) as client:
        client.announce("old")
        found = prune_home(own[0], 2, delete=False, show=lambda _: None)
        client.announce(None)
    assert (found.pipeline_runs, len(found.runs), found.models) == (1, 1, [])
    assert not [path for path in found.paths if path.name.startswith("old.log")]


def test_what_nothing_refers_to_goes_and_the_rest_stays(
    own: tuple[Home, Platform], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "DAY_SECONDS", -60)
    prune_home(own[0], 2, delete=True, show=lambda _: None)

    left = _left(own)
    assert left["runs"] == ["latest", "latest-but-one", "registered"]
    assert (left["all"], left["models"]) == (3, 0)
    contents = [key for key in left["keys"] if not key.startswith("mlflow/")]
    candidate = f"candidates/latest/{OLD}.tar"
    assert contents == [candidate, "labelled/digits/batch.npz", *sorted(map(content_key, (SHARED, MNIST)))]
    assert len(left["keys"]) - len(contents) == 3
    expected = {"checkpoints/new.npz", "logs/store.log", "logs/mlflow.log", "logs/keeper.log"}
    for name in ("latest", "latest-but-one"):
        expected |= {f"kfp/{name}", f"logs/{name}.log", f"optuna/{name}.log", f"optuna/{name}.log.claims"}
    assert left["paths"] == expected

    again = prune_home(own[0], 2, delete=True, show=lambda _: None)
    assert (again.runs, again.keys, again.paths) == ([], {}, {})


def test_a_home_without_history_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="must hold the history of runs but has none"):
        prune_home(Home(tmp_path / "none"), 2, delete=False, show=print)
    assert list(tmp_path.iterdir()) == []


def test_other_servers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(PipelineError, match="must be of embedded servers but"):
        prune_home(Home(tmp_path), 2, delete=False, show=print)
