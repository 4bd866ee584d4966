from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import UnavailableError
from components.monitor.result import Monitoring
from components.monitor.rules import Rules
from components.monitor.step import Outcome
from pipelines.local import retraining
from pipelines.local.home import Home
from pipelines.local.summary import Summary
from pipelines.parameters import Request
from tests.records import lineage

FOUND = Monitoring(
    model="digits-cnn",
    version="3",
    dataset="digits",
    since=0.0,
    until=86400.0,
    requests=500,
    others=0,
    labelled=0,
    examples=300,
    rules=Rules(),
    verdict="drift",
    findings=[],
)
ENDED = Summary(
    run_id="",
    run_name="a run",
    status="SUCCEEDED",
    dataset={},
    metrics={},
    decision={},
    model={},
    steps=[],
    seconds=1.0,
    tracking_uri="http://127.0.0.1:1",
    experiment_id="1",
    report=None,
    log="run.log",
    error=None,
)
Run = Callable[[Home, Request, Any], Summary]


@pytest.fixture
def retrain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], list[Monitoring]]:
    """Retrain with a stand-in for the run, and return the windows whose claim was taken back."""
    released: list[Monitoring] = []
    monkeypatch.setattr(retraining, "release_retraining", released.append)
    monkeypatch.setattr(retraining, "all_servers", lambda _: nullcontext())
    monkeypatch.setattr(retraining, "render", lambda _: [])
    outcome = Outcome(FOUND, lineage("digits-cnn", "first", epochs=3, data="digits"), "")

    def call(run: Run) -> list[Monitoring]:
        monkeypatch.setattr(retraining, "run_pipeline", run)
        with suppress(UnavailableError, KeyboardInterrupt):
            retraining.retrain_version(tmp_path / "home", outcome, ["trials=1"], lambda _: None)
        return released

    return call


def test_it_runs_the_versions_plan_and_ends_early_where_nothing_changed(
    retrain: Callable[[Run], list[Monitoring]],
) -> None:
    asked: list[Request] = []

    def run(_: Home, request: Request, __: object) -> Summary:
        asked.append(request)
        return ENDED

    assert retrain(run) == []
    plan = asked[0].resolved().plan
    assert (plan.training.epochs, plan.search.trials, plan.data.source) == (3, 1, "digits")
    assert plan.gate.skip_if_unchanged
    assert plan.registry.model == "digits-cnn"


@pytest.mark.parametrize("failure", [UnavailableError("away"), KeyboardInterrupt(), None])
def test_where_the_run_fails_the_window_can_be_retrained_again(
    retrain: Callable[[Run], list[Monitoring]], failure: BaseException | None
) -> None:
    def run(*_: object) -> Summary:
        if failure:
            raise failure
        return Summary(**{**vars(ENDED), "error": "train: no memory"})

    assert retrain(run) == [FOUND]
