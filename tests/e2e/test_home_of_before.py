"""A home of version 0.1.0, opened by this version: its versions stay usable, and a new run goes on from them."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from components.common.settings import environment as process_environment
from pipelines.cli.main import app
from pipelines.local.home import Home
from pipelines.local.platform import embedded_platform
from tests.forks import forked_command

PACKED = Path(__file__).parents[1] / "data" / "home-0.1.0.tar.xz"
MODEL = "digits-before"
OPTIONS = ("--data", "digits", "--trials", "1")
DOWNGRADE = """
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
command.downgrade(_get_alembic_config("sqlite:///mlflow.db"), "6f8d9c3b2a1e")
"""
SETTINGS = ("fraction=0.3", "min_accuracy=0.0", f"model_name={MODEL}", "epochs=20")


def _run(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    settings = [text for setting in SETTINGS for text in ("--set", setting)]
    command = [sys.executable, "-W", "ignore", "-m", "pipelines.cli.main", "run", "--home", str(home)]
    return subprocess.run(
        [*command, *OPTIONS, *settings, *options], capture_output=True, text=True, check=False
    )


def _unpack(directory: Path) -> None:
    subprocess.run(
        ["tar", "--xattrs", "--xattrs-include=user.*", "-xJf", PACKED, "-C", directory], check=True
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("before")
    _unpack(directory)
    # The MLflow of that version had today's form of the database. The one before lacks columns.
    subprocess.run([sys.executable, "-W", "ignore", "-c", DOWNGRADE], cwd=directory / "mlflow", check=True)
    return directory


@pytest.fixture(scope="module")
def unsigned(home: Path) -> subprocess.CompletedProcess[str]:
    """How a new run ended before the versions were signed."""
    return _run(home)


@pytest.fixture(scope="module")
def outcome(home: Path, unsigned: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The outcome of a new run in that home, after the versions were signed."""
    assert unsigned.returncode == 1
    signed = forked_command("models", "sign", "1", "2", "--home", str(home))
    assert signed.returncode == 0, signed.stderr
    ended = _run(home, "--json")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def environment(home: Path, outcome: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The variables by which commands find the servers of that home, after the new run."""
    assert outcome["status"] == "SUCCEEDED"
    with pytest.MonkeyPatch.context() as patched:
        for name in ("S3_ENDPOINT_URL", "MLFLOW_TRACKING_URI"):
            patched.delenv(name, raising=False)
        with embedded_platform(Home(home)) as platform:
            yield process_environment(platform.environment)


@pytest.fixture
def here(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same variables in this process, which has imported already what the commands take seconds for."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_what_a_home_of_before_holds_is_shown_before_anything_is_started_in_it(tmp_path: Path) -> None:
    _unpack(tmp_path)
    listed = json.loads(forked_command("models", "list", "--json", "--home", str(tmp_path)).stdout)
    assert [(found["version"], found["aliases"]) for found in listed["versions"]] == [
        ("2", ["challenger", "champion"]),
        ("1", []),
    ]
    assert [found["config.epochs"] for found in listed["versions"]] == [6.0, 1.0]
    moves = json.loads(forked_command("models", "history", "--json", "--home", str(tmp_path)).stdout)["moves"]
    assert [move["after"] for move in moves] == ["1", "2"]
    runs = json.loads(forked_command("runs", "list", "--json", "--home", str(tmp_path)).stdout)["runs"]
    assert [run["registered"] for run in runs] == [f"{MODEL} version 2", f"{MODEL} version 1"]
    assert not (tmp_path / "lock").exists()


def test_a_run_that_would_open_an_unsigned_champion_ends_before_it_trains(
    unsigned: subprocess.CompletedProcess[str],
) -> None:
    assert unsigned.returncode == 1
    assert (
        f"[ingest] error: the champion, {MODEL} version 2, must be signed but is not: the holder"
        in unsigned.stdout
    )
    assert "[train]" not in unsigned.stdout


def test_a_new_run_is_compared_with_the_champion_of_before(outcome: dict[str, Any]) -> None:
    assert f"{MODEL} v2" in outcome["decision"]["reasons"][1]
    assert outcome["model"]["version"] == "3"


def test_versions_of_before_and_of_now_are_listed_and_differ_in_lineage(
    home: Path, outcome: dict[str, Any], environment: dict[str, str]
) -> None:
    assert outcome["model"]["name"] == MODEL
    listed = forked_command("models", "list", variables=environment)
    assert [line.split()[0] for line in listed.stdout.splitlines()[2:]] == ["3", "2", "1"]
    assert forked_command("models", "list", "--home", str(home)).stdout == listed.stdout
    for versions, differing in (
        ("12", {"config.epochs"}),
        ("23", {"config.epochs", "plan_digest", "parameters_digest"}),
    ):
        shown = forked_command("models", "diff", *versions, "--json", variables=environment)
        assert shown.returncode == 0, shown.stderr
        differences = json.loads(shown.stdout)["differences"]
        assert differing <= differences.keys()
        assert "data_digest" not in differences


@pytest.mark.usefixtures("here")
def test_a_version_of_before_is_what_was_registered() -> None:
    verified = CliRunner().invoke(app, ["models", "verify", "2"])
    assert verified.exit_code == 0, verified.output
    assert "version 2 is what was registered" in verified.stdout


def test_a_version_of_before_is_trained_again_from_its_tags(environment: dict[str, str]) -> None:
    made_again = forked_command("reproduce", "2", variables=environment)
    lines = made_again.stdout.splitlines()
    assert any(line.startswith("same data, digest ") for line in lines), made_again.stderr
    # The weights are those of the machine that the home was made on, or of one like it.
    assert "identical: weights digest " in lines[-1]


@pytest.mark.usefixtures("here")
def test_the_champion_of_before_comes_back_by_a_rollback() -> None:
    refused = CliRunner().invoke(app, ["models", "rollback"])
    assert "must be signed by a trusted key to be undone but of move 2, it is not signed" in str(
        refused.exception
    )
    back = CliRunner().invoke(app, ["models", "rollback", "--allow-unsigned"])
    assert back.stdout == f"{MODEL} version 2 is the champion again, instead of version 3\n"


@pytest.mark.usefixtures("outcome")
def test_the_database_of_an_older_mlflow_is_brought_up_to_date_after_a_copy(home: Path) -> None:
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db.6f8d9c3b2a1e")) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [("6f8d9c3b2a1e",)]
        assert copy.execute("SELECT count(*) FROM model_versions").fetchone() == (4,)
