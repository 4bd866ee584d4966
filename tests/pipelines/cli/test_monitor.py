import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from components.monitor.drift import Verdict
from components.monitor.step import Outcome, Watch
from components.monitor.window import last_window
from tests.pipelines.cli.test_main import CommandLine, mnist_pipeline
from tests.pipelines.local.test_retraining import ENDED, FOUND
from tests.records import lineage

__all__ = ["mnist_pipeline"]
REQUESTS = ["--requests", "s3://bucket/requests"]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Watch]:
    """What the command looked at; a look finds what the version that is asked for is called."""
    asked: list[Watch] = []

    def look(watch: Watch, _: Path) -> Outcome:
        asked.append(watch)
        verdicts: dict[str, Verdict] = {"1": "drift", "2": "too-few"}
        verdict = verdicts.get(watch.version, "none")
        print("[monitor] a line for people")
        return Outcome(FOUND.model_copy(update={"verdict": verdict}), lineage("digits-cnn", "first"), "link")

    monkeypatch.setattr("components.monitor.step.monitor_requests", look)
    monkeypatch.setattr("pipelines.models.versions.all_servers", lambda _: nullcontext())
    monkeypatch.setattr("pipelines.models.versions.open_model", lambda *_: nullcontext((None, "digits-cnn")))
    monkeypatch.setattr("components.register.steer.find_version", lambda _, __, given: given)
    return asked


@pytest.mark.parametrize(("version", "status"), [("1", 3), ("2", 4), ("3", 0)])
def test_the_exit_status_tells_drift_too_few_and_none_apart(
    mnist_pipeline: CommandLine,
    looks: list[Watch],
    version: str,
    status: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mnist_pipeline("monitor", *REQUESTS, "--version", version, "--json") == status
    printed = capsys.readouterr()
    assert json.loads(printed.out)["retraining"] is None
    assert printed.out.count("\n") == 1
    assert "a line for people" in printed.err
    assert (looks[0].since, looks[0].until) == last_window(24)


@pytest.mark.parametrize("claimed", [True, False])
def test_a_retraining_is_run_where_it_was_claimed(
    mnist_pipeline: CommandLine,
    looks: list[Watch],
    claimed: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("components.monitor.retraining.claim_retraining", lambda *_: claimed)
    monkeypatch.setattr("pipelines.local.retraining.retrain_version", lambda *_: ENDED)
    window = ["--since", "2026-11-28", "--until", "2026-11-28T06:00"]
    assert mnist_pipeline("monitor", *REQUESTS, "--version", "1", "--retrain", "--json", *window) == 3
    retraining = json.loads(capsys.readouterr().out)["retraining"]
    assert (retraining and retraining["run_name"]) == ("a run" if claimed else None)
    assert looks[0].until - looks[0].since == 6 * 3600


def test_an_end_without_a_start_is_one_line(
    mnist_pipeline: CommandLine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mnist_pipeline("monitor", *REQUESTS, "--until", "2026-11-28") == 1
    assert capsys.readouterr().err == (
        "error: --until must stand beside --since but '2026-11-28' stands alone: give both.\n"
    )
