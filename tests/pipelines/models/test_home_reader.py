"""A home's files against the answers of its server: a new MLflow or Swift that keeps them otherwise is noticed."""

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import PipelineError
from components.common.model.aliases import HISTORY_SUFFIX
from components.common.tracking.tree import find_pipeline_run
from components.register.steer import find_model, find_version
from pipelines.local.home import Home
from pipelines.local.mlflow_api import find_parent
from pipelines.local.mlflow_server import DATABASE_FILE
from pipelines.local.platform import Platform
from pipelines.models.descriptions import describe_moves, describe_versions
from pipelines.models.home_reader import HomeReader, opened_home
from pipelines.models.reader import StoredRun
from pipelines.models.server_reader import ServerReader
from tests.pipelines.models.conftest import MODEL, tags_of


def _comparable(run: StoredRun) -> StoredRun:
    """Return the run without values that are not equal to themselves."""
    metrics = {name: math.inf if math.isnan(value) else value for name, value in run.metrics.items()}
    return replace(run, metrics=metrics)


@pytest.mark.parametrize("state", ["home", "stopped"])
def test_files_and_server_say_the_same_in_every_field(
    server: ServerReader, run_id: str, state: str, request: pytest.FixtureRequest
) -> None:
    home: Home = request.getfixturevalue(state)
    with opened_home(home) as files:
        assert files.tracking_uri == (server.tracking_uri if state == "home" else None)
        assert files.aliases() == server.aliases()
        assert files.aliases()[MODEL] == {"champion": "2", "challenger": "2"}
        for name in (MODEL, MODEL + HISTORY_SUFFIX, "no such model"):
            assert files.versions(name) == server.versions(name)
        without, recorded = files.versions(MODEL)
        assert (without.version, recorded.version) == ("2", "1")
        location = files.location(recorded)
        assert location == server.location(recorded)
        for path in ("lineage/run.json", "lineage/judgement.json"):
            assert files.file(recorded, location, path) == server.file(recorded, location, path)
        runs = files.pipeline_runs(100, "read-only-fast")
        assert list(map(_comparable, runs)) == list(
            map(_comparable, server.pipeline_runs(100, "read-only-fast"))
        )
        ids = [run_id, "f" * 32]
        assert repr(files.metrics(ids)) == repr(server.metrics(ids))
        assert files.metrics(ids).keys() == {run_id}


@pytest.mark.parametrize("named", [None, "read-only-fast"])
def test_the_latest_runs_come_first_and_a_name_or_an_id_finds_one(
    server: ServerReader, stopped: Home, run_id: str, named: str | None
) -> None:
    with opened_home(stopped) as files:
        for reader in (server, files):
            (found,) = reader.pipeline_runs(1, named or run_id)
            assert (found.run_id, found.name, found.end_time) == (run_id, "read-only-fast", 52_000)
            assert found.params == {"config.recipe": "fast", "config.epochs": "2"}
            starts = [run.start_time for run in reader.pipeline_runs(100)]
            assert starts == sorted(starts, reverse=True)
            assert len(reader.pipeline_runs(1)) == 1
            assert reader.pipeline_runs(1, "no such run") == []


def test_a_run_that_nobody_goes_on_with_is_not_running(
    home: Home, stopped: Home, post: Callable[..., dict[str, Any]]
) -> None:
    tags = tags_of({"step": "pipeline"})
    made = post("runs/create", experiment_id="0", run_name="left open", tags=tags)["run"]["info"]
    for place, status in ((home, "RUNNING"), (stopped, "KILLED")):
        with opened_home(place) as files:
            (found,) = files.pipeline_runs(1, made["run_id"])
            assert (found.status, found.end_time) == (status, None)
    post("runs/delete", run_id=made["run_id"])
    with opened_home(home) as files:
        assert files.pipeline_runs(1, made["run_id"]) == []


def test_a_lost_file_is_an_error(stopped: Home, run_id: str) -> None:
    assert run_id
    (stopped.path / "store").unlink()
    with opened_home(stopped) as files:
        version = files.versions(MODEL)[-1]
        lost = "must have the file lineage/run.json but mlflow-artifacts:/.* has not"
        with pytest.raises(PipelineError, match=lost):
            files.file(version, files.location(version), "lineage/run.json")


def test_a_home_without_history_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    message = "new must hold the history of runs but has none: run the pipeline first"
    with pytest.raises(PipelineError, match=message), opened_home(Home(tmp_path / "new")):
        pass
    assert not (tmp_path / "new").exists()


def test_a_store_elsewhere_is_asked_for_the_files(
    platform: Platform, stopped: Home, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_id
    with opened_home(stopped) as files:
        version = files.versions(MODEL)[-1]
        embedded = _record(files)
        (stopped.path / "store").unlink()
        for name in ("S3_ENDPOINT_URL", "S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, platform.environment[name])
        assert _record(files) == embedded
        assert version.version == "1"


def _record(files: HomeReader) -> bytes:
    version = files.versions(MODEL)[-1]
    return files.file(version, files.location(version), "lineage/run.json")


# As rows, because a thousand requests take longer than all other tests of this module.
FILL = """
CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001) SELECT i FROM n;
INSERT INTO registered_models (name) SELECT printf('crowd-%04d', i) FROM n;
INSERT INTO registered_models (name) VALUES ('crowd-0001.history');
INSERT INTO model_versions (name, version, creation_time, current_stage, source, status)
SELECT name, i, 0, 'None', 'models:/m/1', 'READY' FROM n, registered_models WHERE name LIKE 'crowd-0001%';
INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage)
SELECT 1000000 + i, printf('crowd-%d', i), 'mlflow-artifacts:/x', 'active' FROM n;
"""
CLEAR = """
DELETE FROM model_versions WHERE name LIKE 'crowd-%';
DELETE FROM registered_models WHERE name LIKE 'crowd-%';
DELETE FROM tags WHERE run_uuid IN (SELECT run_uuid FROM runs WHERE name = 'in the crowd');
DELETE FROM runs WHERE name = 'in the crowd';
DELETE FROM experiments WHERE name LIKE 'crowd-%';
"""


@pytest.fixture
def crowded(home: Home, platform: Platform, post: Callable[..., dict[str, Any]]) -> Iterator[str]:
    """The session's MLflow with a thousand of each; gives the id of a pipeline's run in the last of the experiments."""
    assert platform

    def execute(script: str) -> None:
        with closing(sqlite3.connect(home.mlflow / DATABASE_FILE, timeout=30)) as database, database:
            database.executescript(script)

    execute(FILL)
    # MLflow lists the experiments whose time is not known last, by their ids.
    run = {"experiment_id": "1001001", "run_name": "in the crowd", "start_time": 1}
    tags = tags_of({"step": "pipeline", "pipeline_run_id": "known to Kubeflow"})
    run_id: str = post("runs/create", **run, tags=tags)["run"]["info"]["run_id"]
    yield run_id
    execute(CLEAR)


def test_more_than_a_page_of_everything_is_read(server: ServerReader, home: Home, crowded: str) -> None:
    with opened_home(home) as files:
        for reader in (server, files):
            assert len([name for name in reader.aliases() if name.startswith("crowd-")]) == 1002
            name, versions = describe_versions(reader, "crowd-0001", "v1001", "1")
            assert [version["version"] for version in versions] == ["1001", "1"]
            _, _, moves = describe_moves(reader, name)
            assert (len(moves), {move.action for move in moves}) == (1001, {"foreign"})
            (found,) = reader.pipeline_runs(1, "in the crowd")
            assert found.run_id == crowded
            starts = [run.start_time for run in reader.pipeline_runs(1000)]
            assert starts == sorted(starts, reverse=True)
    named = find_parent(str(server.tracking_uri), "in the crowd")
    assert named
    assert named["info"]["run_id"] == crowded


def test_more_than_a_page_is_chosen_from(platform: Platform, crowded: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(platform.tracking_uri)
    assert find_model(client, "crowd-1001") == "crowd-1001"
    assert find_version(client, "crowd-0001", "v1") == "1"
    found = find_pipeline_run(client, "known to Kubeflow")
    assert found
    assert found.info.run_id == crowded
