import os
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipelines.local.clients import registered_client
from pipelines.local.home import Home
from pipelines.local.run import KEPT_RUNS, Work, _artifact_directory, _unfinished


def test_artifacts_and_journals_of_all_but_the_latest_runs_are_deleted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    names = [f"run-{number}.log-like" for number in range(KEPT_RUNS + 1)]
    for age, name in enumerate(names):
        (home.kfp / name / "task").mkdir(parents=True)
        os.utime(home.kfp / name, (age, age))
        (home.optuna / f"{name}.log.claims").mkdir()
        for suffix in (".log", ".log.lock", ".log.damaged"):
            (home.optuna / f"{name}{suffix}").touch()
    # Of versions that had one journal for all runs.
    (home.optuna / "journal.log").touch()
    (home.optuna / "journal.log.lock").symlink_to(home.optuna / "journal.log")

    assert _artifact_directory(home, "new") == home.kfp / "new"
    kept = set(names[2:])
    assert {path.name for path in home.kfp.iterdir()} == kept
    assert {path.name.partition("-like")[0] for path in home.optuna.iterdir()} == {
        name.partition("-like")[0] for name in kept
    }
    assert len(list(home.optuna.iterdir())) == 4 * len(kept)


def test_a_run_that_goes_on_keeps_what_it_has(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    for age, name in enumerate(["old", "goes-on", "newer", "newest"]):
        (home.kfp / name).mkdir()
        (home.optuna / f"{name}.log").touch()
        os.utime(home.kfp / name, (age, age))
    assert _artifact_directory(home, "goes-on") == home.kfp / "goes-on"
    assert {path.name for path in home.kfp.iterdir()} == {"goes-on", "newer", "newest"}
    assert {path.name for path in home.optuna.iterdir()} == {"goes-on.log", "newer.log", "newest.log"}


def test_what_can_be_retried(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    work = Work("run-1", {"data": "digits", "options": {"training.seed": 3}}, "")
    work.save(home.kfp / "run-1")
    assert _unfinished(home, "run-1") == work
    with registered_client(home, queued=True) as client:
        client.announce("run-1")
        with pytest.raises(PipelineError, match="a run must have ended to be retried but run-1 goes on"):
            _unfinished(home, "run-1")
        client.announce(None)
    with pytest.raises(PipelineError, match="be one of the last 3, but run-2 is not"):
        _unfinished(home, "run-2")
