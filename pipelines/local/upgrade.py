"""The change of an embedded MLflow's database to the form that the installed MLflow works with."""

import fcntl
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from components.common.errors import PipelineError
from pipelines.compat.mlflow_database import MlflowDatabase, mlflow_schemas
from pipelines.local.home import Home, open_lock
from pipelines.local.mlflow_server import DATABASE_FILE, SQLITE


def upgrade_database(home: Home) -> None:
    """Bring the database of an older MLflow up to date, after a copy of it was made; others stay as they are.

    MLflow's server would refuse to start on it. Call while no keeper lives, with the home's mutex held.

    Raises:
        PipelineError: The database is damaged, or that of a newer MLflow, or MLflow cannot change it.
    """
    path = home.mlflow / DATABASE_FILE
    if not path.exists():
        return
    with closing(MlflowDatabase(path)) as database:
        found = database.schema()
    known, latest = mlflow_schemas()
    if found in {None, latest}:
        return
    if found not in known:
        raise PipelineError(
            f"{path} must be of a form that the installed MLflow knows but is of a newer one ({found}): "
            "use the newer mnist-pipeline that wrote it, or choose another directory with --home."
        )
    with open_lock(home.keeper / "servers") as servers:
        # Servers of a keeper that was killed end within seconds.
        fcntl.flock(servers, fcntl.LOCK_EX)
        copy = path.with_name(f"{path.name}.{found}")
        _copy(path, copy)
        print(
            f"{path} is that of an older MLflow: it is brought up to date; {copy} is a copy", file=sys.stderr
        )
        command = [sys.executable, "-W", "ignore", "-m", "mlflow", "db", "upgrade", SQLITE]
        ended = subprocess.run(command, cwd=home.mlflow, capture_output=True, text=True, check=False)
    if ended.returncode:
        _copy(copy, path)
        reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PipelineError(
            f"{path} must be brought up to date but MLflow does not ({reason}), and it is as it was: "
            f"in {path.parent}, run `{' '.join(command)}`."
        )


def _copy(source: Path, target: Path) -> None:
    """Replace a database by another, with what a writer that was killed has left beside it undone."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)
