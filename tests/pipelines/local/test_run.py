import os
from pathlib import Path

from pipelines.local.home import Home
from pipelines.local.run import KEPT_RUNS, _artifact_directory


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
