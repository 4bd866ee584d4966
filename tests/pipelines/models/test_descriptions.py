import json
from collections.abc import Callable
from typing import Any

import pytest

from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.register.journal import champion_of
from pipelines.local.platform import Platform
from pipelines.models.descriptions import describe_moves, describe_run, describe_runs, describe_versions
from pipelines.models.server_reader import ServerReader
from tests.pipelines.models.conftest import MODEL, tags_of


@pytest.fixture(scope="module")
def server(platform: Platform, run_id: str) -> ServerReader:
    assert run_id
    return ServerReader(platform.tracking_uri)


def test_records_count_more_than_tags_and_a_version_without_records_has_tags(server: ServerReader) -> None:
    name, (without, recorded) = describe_versions(server, MODEL)
    assert name == MODEL
    assert (without["version"], without["aliases"], without["recipe"]) == (
        "2",
        ["challenger", "champion"],
        "seed",
    )
    assert (recorded["version"], recorded["aliases"], recorded["recipe"]) == ("1", [], "fast")
    assert recorded["images"] == MNIST_SPEC.size
    assert recorded["test_accuracy"] == 0.99
    assert not {"model_files", "image_size", "config"} & recorded.keys()
    assert describe_versions(server, MODEL, "champion", "v1") == (name, [without, recorded])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("no such model",), "'no such model' is none of them"),
        ((MODEL, "3"), "must have version '3' but has not"),
    ],
)
def test_what_does_not_exist_is_an_error(server: ServerReader, given: tuple[str, ...], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        describe_versions(server, *given)


def test_a_move_of_the_alias_by_hand_shows_and_is_left_as_it_is(server: ServerReader) -> None:
    name, champion, moves = describe_moves(server, MODEL)
    assert (name, champion, champion_of(moves)) == (MODEL, "2", "1")
    assert describe_moves(server, MODEL) == (name, champion, moves)


def test_a_run_is_described_by_its_record(server: ServerReader, run_id: str) -> None:
    described = describe_run(server, "stripes-fast")
    assert json.dumps(described) == json.dumps(describe_run(server, run_id))
    assert described["link"].endswith(f"/runs/{run_id}")
    assert described["config.epochs"] == "2"
    expected = {
        "run": "stripes-fast",
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
    with pytest.raises(PipelineError, match="'other' is none: choose one of `mnist-pipeline runs list`"):
        describe_run(server, "other")


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
