"""Where the registry is, and how it reads on a terminal."""

import getpass
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.model.lineage import stored_lineage
from components.common.settings import export, export_defaults, settings, withdraw
from components.common.tracking.client import configure_mlflow
from pipelines.local.home import Home
from pipelines.local.mlflow_api import check_tracking_server
from pipelines.local.platform import embedded_platform

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# Variables of libraries whose messages do not belong on the terminal of a command.
QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
METRICS = ("test_accuracy", "test_loss", "test_errors", "validation_accuracy")


@contextmanager
def open_registry(home: Path) -> "Iterator[MlflowClient]":
    """Yield a client of the server that `MLFLOW_TRACKING_URI` names, else of the embedded platform in `home`.

    Raises:
        PipelineError: The server does not answer, or the platform does not start.
    """
    configure_mlflow()
    export_defaults(QUIET)
    if named := settings().mlflow_tracking_uri:
        check_tracking_server(named)
        yield _client()
        return
    with embedded_platform(Home(home)) as platform:
        export(platform.environment)
        try:
            yield _client()
        finally:
            withdraw("MLFLOW_TRACKING_URI")


def _client() -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient()


def operator() -> str:
    """Return who moves an alias, for the record."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def when(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def versions(client: "MlflowClient", name: str) -> "list[ModelVersion]":
    """Return the versions of a model, newest first."""
    found = client.search_model_versions(f"name = '{name}'", max_results=1000)
    aliases: dict[str, list[str]] = {}
    for alias, version in client.get_registered_model(name).aliases.items():
        aliases.setdefault(str(version), []).append(alias)
    for version in found:
        version.aliases = sorted(aliases.get(str(version.version), []))
    return sorted(found, key=lambda version: -int(version.version))


def describe(client: "MlflowClient", version: "ModelVersion") -> dict[str, Any]:
    """Return all that is known of a version, flat: metrics of its run, configuration, lineage.

    The lineage comes from the records kept with the version; one that was registered without has only tags.
    """
    lineage = stored_lineage(client, version.name, str(version.version))
    tags = {**version.tags, **(lineage.tags() if lineage else {})}
    config = json.loads(tags.pop("config", "{}"))
    tags.pop("model_files", None)
    tags.pop("raw_files", None)
    return {
        "version": str(version.version),
        "aliases": list(version.aliases),
        "registered": when(version.creation_timestamp),
        "stored at": client.get_model_version_download_uri(version.name, version.version),
        **run_metrics(client, version),
        **{f"config.{name}": value for name, value in config.items()},
        **dict(sorted(tags.items())),
    }


def run_metrics(client: "MlflowClient", version: "ModelVersion") -> dict[str, float]:
    from mlflow.exceptions import MlflowException

    try:
        metrics = client.get_run(version.run_id).data.metrics
    except MlflowException:
        return {}  # the run was deleted; the version stays
    return {name: metrics[name] for name in METRICS if name in metrics}


def table(rows: list[list[str]]) -> Iterator[str]:
    """Yield the rows with aligned columns; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
