import json
from collections.abc import Callable
from typing import Any

import pytest

from components.common.errors import PipelineError
from pipelines.models.runs import describe_run, describe_runs
from pipelines.models.server_reader import ServerReader
from tests.pipelines.models.conftest import tags_of


def test_a_run_is_described_by_its_record(server: ServerReader, run_id: str) -> None:
    described = describe_run(server, "read-only-fast")
    assert json.dumps(described) == json.dumps(describe_run(server, run_id))
    assert describe_run(server, run_id[:12])["id"] == run_id
    assert described["link"].endswith(f"/runs/{run_id}?workflowType=machine_learning")
    assert described["config.epochs"] == "2"
    expected = {
        "run": "read-only-fast",
        "started": "1970-01-01 00:00:10",
        "seconds": 42.0,
        "state": "FINISHED",
        "data": "stripes",
        "recipe": "fast",
        "test accuracy": 0.99,
        "decision": "register",
        "registered": None,
    }
    assert expected.items() <= described.items()
    listed = next(run for run in describe_runs(server, 100) if run["id"] == run_id)
    assert listed.items() <= described.items()
    with pytest.raises(
        PipelineError, match="'no-such-run' is none: choose one of `mnist-pipeline runs list`"
    ):
        describe_run(server, "no-such-run")


def test_a_run_that_goes_on_has_lasted_until_now(
    server: ServerReader, post: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = tags_of({"step": "pipeline", "model_name": "m", "model_version": "4"})
    run = post("runs/create", experiment_id="0", run_name="on its way", start_time=7_000, tags=tags)["run"][
        "info"
    ]
    monkeypatch.setattr("time.time", lambda: 10.0)
    described = describe_run(server, "on its way")
    assert (described["seconds"], described["registered"]) == (3.0, "m version 4")
    post("runs/delete", run_id=run["run_id"])
