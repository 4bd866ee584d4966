"""MLflow's SQLite database, read without MLflow and without its server."""

import importlib.util
import json
import math
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.common.errors import PipelineError, UnavailableError, first_line

# MLflow 3.17.2, schema dc11669786a5. Its REST API hides versions in the stage Deleted_Internal, prompts, and runs and
# experiments that are deleted. To import MLflow takes 1.8 s, and to start its server 3 s.
MODELS = """
SELECT name, alias, version FROM registered_models LEFT JOIN registered_model_aliases USING (workspace, name)
WHERE name NOT IN (SELECT name FROM registered_model_tags WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true')
"""
VERSIONS = """
SELECT name, version, creation_time AS creation_timestamp, description, run_id FROM model_versions
WHERE name = ? AND current_stage IS NOT 'Deleted_Internal' ORDER BY version DESC
"""
LOCATION = """
SELECT COALESCE(NULLIF(storage_location, ''), source) AS location FROM model_versions WHERE name = ? AND version = ?
"""
BUSY_SECONDS = 5.0
# The ids come as one value: SQLite limits the number of values of a query.
OF_RUNS = "WHERE run_uuid IN (SELECT value FROM json_each(?))"
RUNS = """
SELECT run_uuid AS run_id, CAST(experiment_id AS TEXT) AS experiment_id, runs.name,
    status, start_time, end_time
FROM runs JOIN experiments USING (experiment_id) JOIN tags USING (run_uuid)
WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
AND tags.key = ? AND tags.value = ? AND (? = '' OR runs.name = ? OR run_uuid = ?)
ORDER BY start_time DESC, run_uuid LIMIT ?
"""
LOGGED_MODELS = """
SELECT model_id, artifact_location FROM logged_models WHERE source_run_id IN (SELECT value FROM json_each(?))
"""
TAG_VALUES = """
SELECT value FROM tags WHERE key = ? AND run_uuid NOT IN (SELECT value FROM json_each(?))
UNION SELECT value FROM model_version_tags WHERE key = ?
"""


def delete_from_database(
    directory: Path, file: str, run_ids: Iterable[str], model_ids: Iterable[str]
) -> None:
    """Delete runs and logged models from a database for good, as `mlflow gc` does; a server may use it meanwhile.

    Raises:
        UnavailableError: The database cannot be written now, for example because it is locked.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import SQLAlchemyError

    # MLflow 3.17.2: the command `mlflow gc` deletes only what its server has marked as deleted before.
    # A URL cannot hold every character that a path can, and MLflow keeps one connection for each URL.
    with TemporaryDirectory() as scratch:
        link = Path(scratch, "linked.db")
        link.symlink_to((directory / file).resolve())
        try:
            store = SqlAlchemyStore(f"sqlite:///{link}", "mlflow-artifacts:/")
            for model_id in model_ids:
                store._hard_delete_logged_model(model_id)
            for run_id in run_ids:
                store._hard_delete_run(run_id)
        except (MlflowException, SQLAlchemyError) as error:
            raise UnavailableError(
                f"{directory / file} must be writable but is not now ({first_line(error)}): try again."
            ) from error


def mlflow_schemas() -> tuple[set[str], str]:
    """Return the names of all forms of the database that the installed MLflow knows, and that of the latest."""
    # MLflow's own function for this imports MLflow, which takes longer than the start of a server.
    found = importlib.util.find_spec("mlflow")
    directory = Path(str(found and found.origin)).parent / "store/db_migrations/versions"
    texts = [path.read_text(encoding="utf-8") for path in directory.glob("*_*.py")]
    known = {name for text in texts for name in re.findall(r"^revision = [\"'](\w+)", text, re.MULTILINE)}
    before = {
        name for text in texts for name in re.findall(r"^down_revision = [\"'](\w+)", text, re.MULTILINE)
    }
    (latest,) = known - before
    return known, latest


class MlflowDatabase:
    """An open database; every method raises `PipelineError` where it is damaged, locked or none of MLflow's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._explained():
            # Not mode=ro: a writer that was killed leaves a journal, which the next reader must be able to roll back.
            self._connection = sqlite3.connect(
                f"{path.as_uri()}?mode=rw", uri=True, check_same_thread=False, timeout=BUSY_SECONDS
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        self._connection.close()

    def schema(self) -> str | None:
        """Return the name of the database's form, None where MLflow has yet to make its tables."""
        if not list(self._rows("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")):
            return None
        return next((str(row["version_num"]) for row in self._rows("SELECT * FROM alembic_version")), None)

    def aliases(self) -> dict[str, dict[str, str]]:
        """Return the registered models, each with the numbers of its versions by alias."""
        found: dict[str, dict[str, str]] = {}
        for row in self._rows(MODELS):
            aliases = found.setdefault(row["name"], {})
            if row["alias"] is not None:
                aliases[row["alias"]] = str(row["version"])
        return found

    def model_tags(self, name: str) -> dict[str, str]:
        """Return the tags of a registered model."""
        query = "SELECT key, value FROM registered_model_tags WHERE name = ?"
        return {row["key"]: row["value"] or "" for row in self._rows(query, name)}

    def versions(self, name: str) -> list[dict[str, Any]]:
        """Return the versions of a registered model, newest first, with their tags."""
        tags: dict[int, dict[str, str]] = {}
        for row in self._rows("SELECT version, key, value FROM model_version_tags WHERE name = ?", name):
            tags.setdefault(row["version"], {})[row["key"]] = row["value"] or ""
        return [
            {
                **row,
                "version": str(row["version"]),
                "description": row["description"] or "",
                "run_id": row["run_id"] or "",
                "tags": tags.get(row["version"], {}),
            }
            for row in self._rows(VERSIONS, name)
        ]

    def location(self, name: str, version: str) -> str:
        """Return the URI of the directory of a version's files."""
        (found,) = self._rows(LOCATION, name, version)
        return str(found["location"])

    def metrics(self, run_ids: Collection[str]) -> dict[str, dict[str, float]]:
        """Return the latest values of the metrics of runs by the run's id; nothing of a run without metrics."""
        found: dict[str, dict[str, float]] = {}
        for row in self._of_runs("run_uuid, key, value, is_nan FROM latest_metrics", run_ids):
            value = math.nan if row["is_nan"] else float(row["value"])
            found.setdefault(row["run_uuid"], {})[row["key"]] = value
        return found

    def runs(self, tag: tuple[str, str], limit: int, named: str = "") -> list[dict[str, Any]]:
        """Return the latest runs, newest first, with their tags, parameters and metrics.

        Args:
            tag: Name and value of a tag of the runs.
            limit: How many runs at most.
            named: Name or id of the runs; without it, all.
        """
        found = list(self._rows(RUNS, *tag, named, named, named, limit))
        ids = [run["run_id"] for run in found]
        pairs: dict[str, dict[str, dict[str, str]]] = {"tags": {}, "params": {}}
        for kind, by_run in pairs.items():
            for row in self._of_runs(f"run_uuid, key, value FROM {kind}", ids):
                by_run.setdefault(row["run_uuid"], {})[row["key"]] = row["value"] or ""
        kinds: dict[str, dict[str, Any]] = {**pairs, "metrics": self.metrics(ids)}
        return [{**run, **{kind: own.get(run["run_id"], {}) for kind, own in kinds.items()}} for run in found]

    def registered_runs(self) -> set[str]:
        """Return the ids of the runs that registered versions come from."""
        return {str(row["run_id"]) for row in self._rows("SELECT DISTINCT run_id FROM model_versions")}

    def children(self, parent_tag: str) -> dict[str, list[str]]:
        """Return the ids of the runs directly below a run, by its id."""
        found: dict[str, list[str]] = {}
        for row in self._rows("SELECT run_uuid, value FROM tags WHERE key = ?", parent_tag):
            found.setdefault(row["value"], []).append(row["run_uuid"])
        return found

    def artifacts(self, run_ids: Collection[str]) -> tuple[list[str], list[str]]:
        """Return the ids of the models that runs have logged, and the locations of all files of runs and models."""
        models = list(self._rows(LOGGED_MODELS, json.dumps([*run_ids])))
        locations = [row["artifact_uri"] for row in self._of_runs("artifact_uri FROM runs", run_ids)]
        return [row["model_id"] for row in models], [
            *locations,
            *(row["artifact_location"] for row in models),
        ]

    def tag_values(self, key: str, besides: Collection[str]) -> list[str]:
        """Return the values that a tag has on versions, and on runs other than those."""
        return [str(row["value"]) for row in self._rows(TAG_VALUES, key, json.dumps([*besides]), key)]

    def _of_runs(self, columns: str, run_ids: Collection[str]) -> Iterator[dict[str, Any]]:
        return self._rows(f"SELECT {columns} {OF_RUNS}", json.dumps([*run_ids]))

    def _rows(self, query: str, *values: Any) -> Iterator[dict[str, Any]]:
        with self._explained():
            yield from map(dict, self._connection.execute(query, values))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # What Python itself finds, such as text that is no UTF-8, has no code.
            locked = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            way_out = (
                "try again"
                if locked
                else "start `mnist-pipeline up` once, which brings one of an older version up to date, or restore it "
                "from a copy"
            )
            raise PipelineError(
                f"{self._path} must be a readable database of MLflow but is not ({error}): {way_out}."
            ) from None
