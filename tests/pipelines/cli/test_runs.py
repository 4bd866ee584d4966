import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from components.common.errors import PipelineError
from pipelines.cli.main import app
from pipelines.local.mlflow_api import call_mlflow
from pipelines.local.platform import Platform
from pipelines.models.tables import RUN_HEAD

Runs = Callable[..., Result]


@pytest.fixture
def runs(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Run a command of `runs` on the session's server, on which a run has just failed."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", platform.tracking_uri)
    tags = [{"key": "step", "value": "pipeline"}, {"key": "error", "value": "no space left"}]
    made = {"experiment_id": "0", "run_name": "listed", "start_time": 2**42, "tags": tags}
    run_id = call_mlflow(platform.tracking_uri, "runs/create", made)["run"]["info"]["run_id"]
    call_mlflow(
        platform.tracking_uri,
        "runs/update",
        {"run_id": run_id, "status": "FAILED", "end_time": 2**42 + 90_000},
    )
    return lambda *arguments: CliRunner().invoke(app, ["runs", *arguments])


def test_list_shows_the_latest_runs(runs: Runs, platform: Platform) -> None:
    head, row = runs("list", "--limit", "1").stdout.splitlines()
    assert re.split(" {2,}", head) == RUN_HEAD
    assert row.split()[:5] == ["listed", "2109-05-15", "07:35:11", "90", "failed"]
    assert platform.tracking_uri in row
    listed: dict[str, Any] = json.loads(runs("list", "--limit", "1", "--json").stdout)
    assert [run["run"] for run in listed["runs"]] == ["listed"]


def test_show_has_the_error_of_a_run(runs: Runs) -> None:
    shown = dict(line.split(maxsplit=1) for line in runs("show", "listed").stdout.splitlines())
    assert (shown["state"], shown["error"]) == ("FAILED", "no space left")
    assert json.loads(runs("show", "listed", "--json").stdout)["error"] == "no space left"
    assert isinstance(runs("show", "no such run").exception, PipelineError)
