import json
import uuid
from typing import TYPE_CHECKING

import pytest

from components.common.errors import TRY_AGAIN
from components.common.tracking.step import step_run
from components.common.tracking.tree import find_pipeline_run, open_pipeline_run
from components.register.step import close_run_step
from tests.receivers import Webhook

if TYPE_CHECKING:
    from mlflow import MlflowClient

REGISTERED = {"decision": "register", "model_name": "stripes-cnn", "model_version": "3"}


@pytest.fixture
def told(webhook: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, str], bytes]]:
    """What a receiver has got."""
    monkeypatch.setenv("NOTIFY_SLACK_URL", webhook)
    monkeypatch.setenv("MLFLOW_UI_URL", "https://mlflow.example.org/")
    return Webhook.received


@pytest.mark.parametrize(
    ("tags", "succeeded", "lines"),
    [
        (
            {"error": "train: no room"},
            False,
            ["*run stripes-fast failed*", "train: no room", "run stripes-fast on stripes"],
        ),
        (
            {**REGISTERED, "decision_reasons": "0.99 is not below\nbetter"},
            True,
            [
                "*stripes-cnn version 3 is the new champion*",
                "0.99 is not below",
                "better",
                "run stripes-fast on stripes",
                "<https://mlflow.example.org/#/models/stripes-cnn/versions/3|open>",
            ],
        ),
        (
            {"decision": "keep", "verdict": "worse", "decision_reasons": "worse"},
            True,
            ["*the candidate of run stripes-fast is not registered*", "worse", "run stripes-fast on stripes"],
        ),
        ({"decision": "keep", "verdict": "identical"}, True, []),
        ({"decision": "skip"}, True, []),
    ],
)
def test_the_outcome_of_a_run_is_told_once(
    mlflow_client: "MlflowClient",
    told: list[tuple[dict[str, str], bytes]],
    tags: dict[str, str],
    succeeded: bool,
    lines: list[str],
) -> None:
    run_id = uuid.uuid4().hex
    open_pipeline_run(run_id, "stripes-fast", "outcomes")
    run = find_pipeline_run(mlflow_client, run_id)
    assert run is not None
    for name, value in {"dataset": "stripes", **tags}.items():
        mlflow_client.set_tag(run.info.run_id, name, value)

    for _ in range(2):
        close_run_step(run_id, "SUCCEEDED" if succeeded else "FAILED", "")

    texts = [json.loads(body)["text"].split("\n") for _, body in told]
    assert [text[: len(lines)] for text in texts] == [lines] * bool(lines)


def test_a_run_that_goes_on_is_told_of_again(
    mlflow_client: "MlflowClient", told: list[tuple[dict[str, str], bytes]]
) -> None:
    run_id = uuid.uuid4().hex
    open_pipeline_run(run_id, "stripes-fast", "outcomes")
    close_run_step(run_id, "FAILED", "no room")
    run = find_pipeline_run(mlflow_client, run_id)
    assert run is not None

    with step_run(run_id, "register"):
        for name, value in REGISTERED.items():
            mlflow_client.set_tag(run.info.run_id, name, value)
    for _ in range(2):
        close_run_step(run_id, "SUCCEEDED", "")

    assert [json.loads(body)["text"].partition("\n")[0] for _, body in told] == [
        "*run stripes-fast failed*",
        "*stripes-cnn version 3 is the new champion*",
    ]


def test_a_failure_is_told_of_a_run_that_mlflow_does_not_know(
    mlflow_client: "MlflowClient", told: list[tuple[dict[str, str], bytes]]
) -> None:
    del mlflow_client
    close_run_step("unknown", "FAILED", "the plan is wrong")
    close_run_step("unknown", "SUCCEEDED", "")
    assert [json.loads(body)["text"] for _, body in told] == [
        "*pipeline run unknown failed*\nthe plan is wrong"
    ]


def test_a_failure_is_told_while_mlflow_is_away(
    told: list[tuple[dict[str, str], bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("OUTAGE_SECONDS", "0")
    for state in ("FAILED", "SUCCEEDED"):
        with pytest.raises(SystemExit) as ended:
            close_run_step("some", state, "no room")
        assert ended.value.code == TRY_AGAIN
    ((_, body),) = told
    assert json.loads(body)["text"].startswith("*pipeline run some failed*\nno room\nthis needs MLflow at")
