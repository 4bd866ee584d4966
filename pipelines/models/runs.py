"""Descriptions of the pipeline's runs."""

import time
from typing import Any

from components.common.tracking import tags as names
from components.common.tracking.pages import run_page
from pipelines.candidates import chosen
from pipelines.models.reader import Reader, StoredRun
from pipelines.models.tables import utc_time

# Runs that are looked through for how one begins.
MOST = 1000


def describe_runs(reader: Reader, limit: int) -> list[dict[str, Any]]:
    """Return descriptions of the pipeline's latest runs, newest first; what is not known of a run is None."""
    tracking_uri = reader.tracking_uri
    return [_describe_run(run, tracking_uri) for run in reader.pipeline_runs(limit)]


def describe_run(reader: Reader, named: str) -> dict[str, Any]:
    """Return the description of a run, with its parameters and metrics.

    Args:
        reader: Where the run is.
        named: Its name or id, of which the latest run counts; or how one of the latest thousand alone begins.

    Raises:
        PipelineError: There is no such run, or several begin so.
    """
    found = reader.pipeline_runs(1, named)
    if not found:
        runs = {run.run_id: run for run in reader.pipeline_runs(MOST)}
        names = {identity: run.name for identity, run in runs.items()}
        found = [runs[chosen(named, names, "mnist-pipeline runs list")]]
    (run,) = found
    return {**_describe_run(run, reader.tracking_uri), **dict(sorted({**run.params, **run.metrics}.items()))}


def _describe_run(run: StoredRun, tracking_uri: str | None) -> dict[str, Any]:
    end = time.time() * 1000 if run.status == "RUNNING" else run.end_time
    model, version = run.tags.get(names.MODEL_NAME), run.tags.get(names.MODEL_VERSION)
    return {
        "run": run.name,
        "id": run.run_id,
        "started": utc_time(run.start_time),
        "seconds": round((end - run.start_time) / 1000, 1) if end else None,
        "state": run.status,
        "data": run.tags.get(names.DATASET),
        "recipe": run.params.get("config.recipe"),
        "test accuracy": run.metrics.get("test_accuracy"),
        "decision": run.tags.get(names.DECISION),
        "registered": f"{model} version {version}" if version else None,
        "error": run.tags.get(names.ERROR),
        "link": run_page(tracking_uri, run.experiment_id, run.run_id) if tracking_uri else None,
    }
