"""Models and runs on an MLflow server, by its REST API."""

import re
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from components.common.errors import PipelineError, UnavailableError
from components.common.settings import export_defaults
from components.common.tracking.client import MOST_EXPERIMENTS, QUIET, batched, configure_mlflow
from components.common.tracking.failures import is_outage, mlflow_errors, reason
from components.common.tracking.tags import IS_PIPELINE
from pipelines.local.mlflow_api import (
    call_mlflow,
    check_tracking_server,
    fetch_mlflow_artifact,
    mlflow_pages,
)
from pipelines.models.reader import StoredRun, StoredVersion

KEPT_BY_SERVER = re.compile("mlflow-artifacts:/+(?=[^/])")
RUN_ID = re.compile("[0-9a-f]{32}")
# In one request; each comes with all its tags and parameters.
MOST_RUNS = 200


class ServerReader:
    """A `Reader` of a server.

    Raises:
        UnavailableError: No server answers there.
        PipelineError: It refuses.
    """

    def __init__(self, tracking_uri: str) -> None:
        check_tracking_server(tracking_uri)
        self._uri = tracking_uri.rstrip("/")

    @property
    def tracking_uri(self) -> str | None:
        return self._uri

    def aliases(self) -> dict[str, dict[str, str]]:
        return {
            model["name"]: _pairs(model.get("aliases"), "alias", "version")
            for model in mlflow_pages(self._call, "registered-models/search", "registered_models")
        }

    def model_tags(self, name: str) -> dict[str, str]:
        model = self._call(f"registered-models/get?{urlencode({'name': name})}")["registered_model"]
        return _pairs(model.get("tags"))

    def versions(self, name: str) -> list[StoredVersion]:
        found = [
            StoredVersion(
                name,
                str(version["version"]),
                version["creation_timestamp"],
                version.get("description", ""),
                version.get("run_id", ""),
                _pairs(version.get("tags")),
            )
            for version in mlflow_pages(
                self._call, "model-versions/search", "model_versions", filter=f"name = '{name}'"
            )
        ]
        return sorted(found, key=lambda version: -int(version.version))

    def location(self, version: StoredVersion) -> str:
        query = urlencode({"name": version.name, "version": version.version})
        return str(self._call(f"model-versions/get-download-uri?{query}")["artifact_uri"])

    def file(self, version: StoredVersion, location: str, path: str) -> bytes:
        if proxied := KEPT_BY_SERVER.match(location):
            return fetch_mlflow_artifact(self._uri, f"{location[proxied.end() :]}/{path}")
        return _download(f"models:/{version.name}/{version.version}/{path}")

    def metrics(self, run_ids: Collection[str]) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for ids in batched(sorted(run_ids), MOST_RUNS):
            listed = ", ".join(f"'{run_id}'" for run_id in ids)
            for run in self._runs(f"attributes.run_id IN ({listed})", "ALL", MOST_RUNS):
                found[run["info"]["run_id"]] = _metrics(run)
        return found

    def pipeline_runs(self, limit: int, named: str = "") -> list[StoredRun]:
        wanted = IS_PIPELINE
        if named:
            attribute = "run_id" if RUN_ID.fullmatch(named) else "run_name"
            wanted += f' and attributes.{attribute} = "{named}"'
        return [_run(found) for found in self._runs(wanted, "ACTIVE_ONLY", limit)]

    def _runs(self, wanted: str, state: str, limit: int) -> list[dict[str, Any]]:
        """Return runs of all experiments, newest first; `state` is that of the runs and of the experiments."""
        experiments = mlflow_pages(self._call, "experiments/search", "experiments", view_type=state)
        search = {
            "filter": wanted,
            "run_view_type": state,
            "order_by": ["attributes.start_time DESC"],
            "max_results": limit,
        }
        found: list[dict[str, Any]] = []
        for ids in batched([experiment["experiment_id"] for experiment in experiments], MOST_EXPERIMENTS):
            found += self._call("runs/search", {"experiment_ids": ids, **search}).get("runs", [])
        return sorted(found, key=lambda run: -run["info"]["start_time"])[:limit]

    def _call(self, method: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        return call_mlflow(self._uri, method, payload)


def _run(found: dict[str, Any]) -> StoredRun:
    info, data = found["info"], found["data"]
    return StoredRun(
        info["run_id"],
        info["experiment_id"],
        info["run_name"],
        info["status"],
        info["start_time"],
        info.get("end_time"),
        _pairs(data.get("tags")),
        _pairs(data.get("params")),
        _metrics(found),
    )


def _metrics(run: dict[str, Any]) -> dict[str, float]:
    return {metric["key"]: float(metric["value"]) for metric in run["data"].get("metrics", [])}


def _pairs(found: list[dict[str, str]] | None, key: str = "key", value: str = "value") -> dict[str, str]:
    return {entry[key]: entry.get(value, "") for entry in found or []}


def _download(uri: str) -> bytes:
    """Return a file that the server's clients fetch themselves, by MLflow's own client."""
    configure_mlflow()
    export_defaults(QUIET)
    from mlflow.artifacts import download_artifacts

    failures: tuple[type[Exception], ...] = (*mlflow_errors(), OSError)
    with TemporaryDirectory() as scratch:
        try:
            return Path(download_artifacts(artifact_uri=uri, dst_path=scratch)).read_bytes()
        except failures as error:
            kind = UnavailableError if is_outage(error) else PipelineError
            raise kind(
                f"{uri} must be readable but is not ({reason(error)}): "
                "give this process access to the store of that MLflow server."
            ) from error
