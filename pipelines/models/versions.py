"""The model registry, and the descriptions of its versions."""

import getpass
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.data.spec import MNIST_SPEC
from components.common.model.lineage import stored_lineage
from components.common.settings import export, export_defaults, settings, withdraw
from components.common.tracking.client import configure_mlflow
from components.register.publish import CLASSES_TAG, IMAGE_SIZE_TAG
from pipelines.local.home import Home
from pipelines.local.mlflow_api import check_tracking_server
from pipelines.local.platform import embedded_platform
from pipelines.models.tables import utc_time

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# Variables of libraries whose messages do not belong on the terminal of a command.
QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
# Tags of digests, and those that other entries of a description say.
HIDDEN = ("model_files", "raw_files", IMAGE_SIZE_TAG, CLASSES_TAG)
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


@contextmanager
def open_model(home: Path, given: str) -> "Iterator[tuple[MlflowClient, str]]":
    """Yield a client of the registry and the name of the registered model: `given`, or the only one there is.

    Raises:
        PipelineError: The registry cannot be reached, or has no such model, or has several and `given` is empty.
    """
    from components.register.steer import find_model

    with open_registry(home) as client:
        yield client, find_model(client, given)


def _client() -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient()


def operator() -> str:
    """Return the user and the machine of this process, for the record of who moves an alias."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def describe_versions(client: "MlflowClient", name: str, *given: str) -> list[dict[str, Any]]:
    """Return descriptions of the versions that are given by number or alias; without any, of all, newest first.

    A description is flat: images and classes, metrics of the version's run, configuration, lineage. The lineage comes
    from the records kept with the version; a version that was registered without records has only tags.

    Raises:
        PipelineError: There is no such version.
    """
    from components.register.steer import find_version

    numbers = [find_version(client, name, version) for version in given]
    known = {str(version.version): version for version in _newest_first(client, name)}
    return [_describe(client, known[number]) for number in numbers or known]


def _newest_first(client: "MlflowClient", name: str) -> "list[ModelVersion]":
    found = client.search_model_versions(f"name = '{name}'", max_results=1000)
    aliases: dict[str, list[str]] = {}
    for alias, version in client.get_registered_model(name).aliases.items():
        aliases.setdefault(str(version), []).append(alias)
    for version in found:
        version.aliases = sorted(aliases.get(str(version.version), []))
    return sorted(found, key=lambda version: -int(version.version))


def _describe(client: "MlflowClient", version: "ModelVersion") -> dict[str, Any]:
    lineage = stored_lineage(client, version.name, str(version.version))
    tags = {**version.tags, **(lineage.tags() if lineage else {})}
    config = json.loads(tags.pop("config", "{}"))
    for name in HIDDEN:
        tags.pop(name, None)
    spec = lineage.training.dataset.spec if lineage else MNIST_SPEC
    return {
        "version": str(version.version),
        "aliases": list(version.aliases),
        "images": spec.size,
        "class count": len(spec.classes),
        "classes": list(spec.classes),
        "registered": utc_time(version.creation_timestamp),
        "stored at": client.get_model_version_download_uri(version.name, version.version),
        **_run_metrics(client, version),
        **{f"config.{name}": value for name, value in config.items()},
        **dict(sorted(tags.items())),
    }


def _run_metrics(client: "MlflowClient", version: "ModelVersion") -> dict[str, float]:
    from mlflow.exceptions import MlflowException

    try:
        metrics = client.get_run(version.run_id).data.metrics
    except MlflowException:
        # The version stays when its run is deleted.
        return {}
    return {name: metrics[name] for name in METRICS if name in metrics}
