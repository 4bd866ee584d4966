import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipelines.local.home import Home
from pipelines.local.mlflow_server import DATABASE_FILE
from pipelines.local.upgrade import upgrade_database


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


def _of_form(home: Home, form: str) -> bytes:
    with closing(sqlite3.connect(home.mlflow / DATABASE_FILE)) as made:
        made.execute("CREATE TABLE alembic_version (version_num)")
        made.execute("INSERT INTO alembic_version VALUES (?)", (form,))
        made.commit()
    return (home.mlflow / DATABASE_FILE).read_bytes()


def test_a_new_home_has_nothing_to_change(home: Home) -> None:
    upgrade_database(home)
    (home.mlflow / DATABASE_FILE).touch()
    upgrade_database(home)
    assert [path.name for path in home.mlflow.iterdir()] == [DATABASE_FILE]


def test_a_database_of_a_newer_mlflow_is_refused(home: Home) -> None:
    content = _of_form(home, "f" * 12)
    with pytest.raises(PipelineError, match="installed MLflow knows but is of a newer one.*: use the newer"):
        upgrade_database(home)
    assert (home.mlflow / DATABASE_FILE).read_bytes() == content


def test_a_database_that_mlflow_cannot_change_is_left_as_it_was_and_the_command_is_told(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    _of_form(home, "75868b020152")
    with pytest.raises(
        PipelineError, match=r"it is as it was: in .*mlflow, run `.* db upgrade sqlite:///mlflow\.db`"
    ):
        upgrade_database(home)
    assert "it is brought up to date" in capsys.readouterr().err
    with closing(sqlite3.connect(home.mlflow / DATABASE_FILE)) as left:
        assert left.execute("SELECT * FROM alembic_version").fetchall() == [("75868b020152",)]


def test_a_damaged_database_is_an_error_before_the_server_starts(home: Home) -> None:
    (home.mlflow / DATABASE_FILE).write_bytes(b"damaged" * 1000)
    with pytest.raises(PipelineError, match=r"must be a readable database of MLflow.*restore it from a copy"):
        upgrade_database(home)
