"""Models and runs as MLflow keeps them, for commands that only read."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from components.common.settings import settings


@dataclass(frozen=True)
class StoredVersion:
    """A registered version.

    Attributes:
        creation_timestamp: Milliseconds since 1970.
        run_id: MLflow run that it comes from; "" for none.
    """

    name: str
    version: str
    creation_timestamp: int
    description: str
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class StoredRun:
    """A run of the pipeline.

    Attributes:
        status: RUNNING, FINISHED, FAILED or KILLED.
        start_time: Milliseconds since 1970.
        end_time: Milliseconds since 1970; None while it runs, and where its end was not recorded.
    """

    run_id: str
    experiment_id: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]


class Reader(Protocol):
    """A place to read from; several threads may call it.

    Every method raises `PipelineError` where the place does not answer.
    """

    @property
    def tracking_uri(self) -> str | None:
        """Address of the MLflow server, None where none runs."""

    def aliases(self) -> dict[str, dict[str, str]]:
        """Return the registered models, each with the numbers of its versions by alias."""

    def model_tags(self, name: str) -> dict[str, str]:
        """Return the tags of a registered model."""

    def versions(self, name: str) -> list[StoredVersion]:
        """Return the versions of a registered model, newest first."""

    def location(self, version: StoredVersion) -> str:
        """Return the URI of the directory of a version's files."""

    def file(self, version: StoredVersion, location: str, path: str) -> bytes:
        """Return one of a version's files; `location` is that of the version, which costs a request."""

    def metrics(self, run_ids: Collection[str]) -> dict[str, dict[str, float]]:
        """Return the latest values of the metrics of the runs that MLflow still has, by the run's id."""

    def pipeline_runs(self, limit: int, named: str = "") -> list[StoredRun]:
        """Return the pipeline's latest runs, newest first; with `named`, those with this name or id."""


@contextmanager
def open_reader(home: Path) -> Iterator[Reader]:
    """Yield a reader of the server that `MLFLOW_TRACKING_URI` names, else of the files in `home`; nothing is started.

    Raises:
        PipelineError: The server does not answer, or the home holds no history.
    """
    if named := settings().mlflow_tracking_uri:
        from pipelines.models.server_reader import ServerReader

        yield ServerReader(named)
        return
    from pipelines.local.home import Home
    from pipelines.models.home_reader import opened_home

    with opened_home(Home(home)) as reader:
        yield reader
