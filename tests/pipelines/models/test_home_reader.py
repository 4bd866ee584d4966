"""A home's files against the answers of its server: a new MLflow or Swift that keeps them otherwise is noticed."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import PipelineError
from components.register.journal import HISTORY_SUFFIX
from pipelines.local.home import Home
from pipelines.local.platform import Platform
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
