import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.errors import PipelineError, UnavailableError
from pipelines.compat.mlflow_database import MlflowDatabase, delete_from_database, mlflow_schemas

KILLED = """
import os, sqlite3, sys
writer = sqlite3.connect(sys.argv[1], isolation_level=None)
writer.execute("CREATE TABLE runs (name)")
writer.execute("INSERT INTO runs VALUES ('kept')")
writer.execute("PRAGMA cache_size = 1")
writer.execute("BEGIN")
writer.executemany("INSERT INTO runs VALUES (?)", [("lost" * 1000,)] * 100)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("content", "what"), [(b"damaged" * 1000, "file is not a database"), (b"", "no such table")]
)
def test_what_is_no_database_of_mlflow_is_an_error(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=f"mlflow.db must be a readable database .*{what}.*restore"):
        MlflowDatabase(path).aliases()
    assert path.read_bytes() == content


def test_a_database_that_another_process_locks_is_an_error_with_another_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.compat.mlflow_database.BUSY_SECONDS", 0.01)
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as writer:
        writer.execute("CREATE TABLE registered_models (name)")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(PipelineError, match="database is locked.*: try again"):
            MlflowDatabase(path).aliases()
    writer.close()


def test_what_a_killed_writer_left_half_done_is_undone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    subprocess.run([sys.executable, "-c", KILLED, path], check=True)
    assert (tmp_path / "mlflow.db-journal").stat().st_size
    database = MlflowDatabase(path)
    assert list(database._rows("SELECT name FROM runs")) == [{"name": "kept"}]
    database.close()


def test_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()
    with pytest.raises(PipelineError, match="readonly"):
        list(MlflowDatabase(path)._rows("CREATE TABLE made (name)"))


def test_the_latest_form_is_that_of_mlflow() -> None:
    from mlflow.store.db.utils import _get_latest_schema_revision

    known, latest = mlflow_schemas()
    assert latest == _get_latest_schema_revision()
    assert len(known) > 60


def test_runs_are_deleted_in_the_database_that_is_named(tmp_path: Path) -> None:
    """MLflow would keep the connection to the first one."""
    from mlflow.entities import ViewType
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    stores = {}
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        stores[name] = SqlAlchemyStore(f"sqlite:///{tmp_path / name}/mlflow.db", str(tmp_path))
    runs = {name: store.create_run("0", "", 0, [], name).info.run_id for name, store in stores.items()}

    for name in ("first", "second"):
        delete_from_database(tmp_path / name, "mlflow.db", [runs[name]], [])

    for store in stores.values():
        assert store.search_runs(["0"], "", ViewType.ALL) == []


def test_what_cannot_be_deleted_now_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"damaged" * 1000)
    with pytest.raises(UnavailableError, match=r"mlflow\.db must be writable but is not now \(.*: try again"):
        delete_from_database(tmp_path, "mlflow.db", ["f" * 32], [])
