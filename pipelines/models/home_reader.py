"""Models and runs in the files of a home, whether its platform runs or not."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.errors import PipelineError
from components.common.settings import environment
from components.common.storage.s3 import DEFAULT_BUCKET
from components.common.tracking import tags
from pipelines.compat.mlflow_database import MlflowDatabase
from pipelines.compat.swift_objects import object_file
from pipelines.local.home import Home
from pipelines.local.mlflow_server import ARTIFACTS, DATABASE_FILE
from pipelines.local.platform import running_platform
from pipelines.local.store import ACCESS_KEY_ID, external_store
from pipelines.models.reader import StoredRun, StoredVersion

KEPT_BY_SERVER = "mlflow-artifacts:/"


@dataclass(frozen=True)
class HomeReader:
    """A `Reader` of MLflow's database and of the object store in a home."""

    home: Home
    database: MlflowDatabase

    @property
    def tracking_uri(self) -> str | None:
        return running_platform(self.home)

    def aliases(self) -> dict[str, dict[str, str]]:
        return self.database.aliases()

    def model_tags(self, name: str) -> dict[str, str]:
        return self.database.model_tags(name)

    def versions(self, name: str) -> list[StoredVersion]:
        return [StoredVersion(**row) for row in self.database.versions(name)]

    def location(self, version: StoredVersion) -> str:
        return self.database.location(version.name, version.version)

    def file(self, version: StoredVersion, location: str, path: str) -> bytes:
        key = f"{ARTIFACTS}/{location.removeprefix(KEPT_BY_SERVER)}/{path}"
        content = self._object(key) if location.startswith(KEPT_BY_SERVER) else None
        if content is None:
            raise PipelineError(
                f"{version.name} version {version.version} must have the file {path} but {location} has not: "
                "restore the home from a copy, or delete the version in MLflow."
            )
        return content

    def _object(self, key: str) -> bytes | None:
        if named := external_store(environment()):
            from components.common.storage.object_store import ObjectStore

            with TemporaryDirectory() as scratch:
                target = Path(scratch, "object")
                found = ObjectStore(named.bucket, named.endpoint_url).download(key, target)
                return target.read_bytes() if found else None
        account = ACCESS_KEY_ID.partition(":")[0]
        file = object_file(self.home.store, account, DEFAULT_BUCKET, key)
        return file.read_bytes() if file else None

    def metrics(self, run_ids: Collection[str]) -> dict[str, dict[str, float]]:
        return self.database.metrics(run_ids)

    def pipeline_runs(self, limit: int, named: str = "") -> list[StoredRun]:
        rows = self.database.runs((tags.STEP, tags.PIPELINE), limit, named)
        if self.tracking_uri is None:
            # The next start of the platform marks them so.
            rows = [{**row, "status": "KILLED"} if row["status"] == "RUNNING" else row for row in rows]
        return [StoredRun(**row) for row in rows]


@contextmanager
def opened_home(home: Home) -> Iterator[HomeReader]:
    """Yield a reader of a home.

    Raises:
        PipelineError: The home holds no history yet.
    """
    path = home.mlflow / DATABASE_FILE
    if not path.exists():
        raise PipelineError(
            f"{home.path} must hold the history of runs but has none: "
            "run the pipeline first, or name another directory with --home."
        )
    database = MlflowDatabase(path)
    try:
        yield HomeReader(home, database)
    finally:
        database.close()
