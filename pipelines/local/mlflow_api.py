"""Calls of MLflow's REST API without MLflow's client.

The start of a run and of every command needs them, and to import `mlflow.MlflowClient` takes 1.8 to 2.4 s of processor
time (MLflow 3.17.2 on two cores).
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from components.common.errors import PipelineError
from components.common.storage.address import LOGIN_IN_CLEAR, shown
from components.common.tracking.client import MOST_EXPERIMENTS, batched
from components.common.tracking.login import login_in_clear
from components.common.tracking.preflight import require_supported, stated_version
from components.common.tracking.tags import IS_PIPELINE, PIPELINE_RUN, below
from pipelines.local.mlflow_request import request_mlflow

CHECK_SECONDS = 10

PAGE = 1000


def call_mlflow(
    tracking_uri: str, method: str, payload: dict[str, Any] | None = None, *, seconds: float = 60
) -> dict[str, Any]:
    """POST to `/api/2.0/mlflow/<method>`, or GET it without a payload, as MLflow's own client would.

    Raises:
        UnavailableError: The server is away, busy or broken.
        PipelineError: It refuses, or is no MLflow server.
    """
    content = request_mlflow(tracking_uri, f"api/2.0/mlflow/{method}", payload, seconds)
    try:
        answer: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise PipelineError(
            f"the server at {shown(tracking_uri)} must be MLflow but answers with something else ({error}): "
            "correct MLFLOW_TRACKING_URI."
        ) from None
    return answer


def fetch_mlflow_artifact(tracking_uri: str, path: str, *, seconds: float = 60) -> bytes:
    """Return a file that the server keeps for its clients; `path` is that of `mlflow-artifacts:/path`.

    Raises:
        UnavailableError, PipelineError: As `call_mlflow`.
    """
    return request_mlflow(tracking_uri, f"api/2.0/mlflow-artifacts/artifacts/{quote(path)}", None, seconds)


def check_tracking_server(tracking_uri: str) -> None:
    """Make sure within seconds that an MLflow server answers there; warn where a network can read the login.

    Raises:
        UnavailableError: No server does.
        PipelineError: It refuses the request, is no MLflow server, or is too old.
    """
    if urlsplit(tracking_uri).scheme not in {"http", "https"}:
        raise PipelineError(
            f"MLFLOW_TRACKING_URI must be the http(s) address of an MLflow server but got {shown(tracking_uri)}: "
            "correct it, or unset it to use the embedded server."
        )
    if login_in_clear(tracking_uri):
        _warn_once(f"{shown(tracking_uri)} {LOGIN_IN_CLEAR}")
    call_mlflow(tracking_uri, "experiments/search", {"max_results": 1}, seconds=CHECK_SECONDS)
    try:
        answer = request_mlflow(tracking_uri, "version", None, seconds=CHECK_SECONDS)
    except PipelineError:  # what stands before the server hands the API alone on
        return
    if version := stated_version(answer):
        require_supported(version, tracking_uri)


@cache
def _warn_once(warning: str) -> None:
    """Print a warning; a command checks its server several times."""
    print(f"warning: {warning}", file=sys.stderr)


def find_parent(tracking_uri: str, run_name: str) -> dict[str, Any] | None:
    """Return the pipeline's run of that name as MLflow's API describes it."""
    return _pipeline_run(tracking_uri, f"attributes.run_name = '{run_name}'")


def _pipeline_run(tracking_uri: str, condition: str) -> dict[str, Any] | None:
    ids = [
        experiment["experiment_id"]
        for experiment in mlflow_pages(
            partial(call_mlflow, tracking_uri), "experiments/search", "experiments"
        )
    ]
    for part in batched(ids, MOST_EXPERIMENTS):
        search = {"experiment_ids": part, "filter": f"{condition} and {IS_PIPELINE}"}
        if runs := call_mlflow(tracking_uri, "runs/search", search).get("runs"):
            found: dict[str, Any] = runs[0]
            return found
    return None


def mlflow_pages(
    call: Callable[[str], dict[str, Any]], method: str, key: str, **query: Any
) -> Iterator[dict[str, Any]]:
    """Yield what all pages of a search hold.

    Args:
        call: GETs a method with its query, as `call_mlflow` does.
        method: The search, by GET.
        key: Name of the list in an answer.
        query: Fields of the query.
    """
    query = {"max_results": PAGE, **query}
    while True:
        answer = call(f"{method}?{urlencode(query)}")
        yield from answer.get(key, [])
        if not (token := answer.get("next_page_token")):
            return
        query["page_token"] = token


def close_run_named(tracking_uri: str, run_name: str) -> None:
    """Mark the pipeline's run of that name, where it is RUNNING, and the RUNNING runs below it as KILLED."""
    _close_running(tracking_uri, find_parent(tracking_uri, run_name))


def close_run_of(tracking_uri: str, pipeline_run_id: str) -> bool:
    """Do the same by Kubeflow's id of the pipeline run; return whether there was one to close."""
    return _close_running(
        tracking_uri, _pipeline_run(tracking_uri, f"tags.{PIPELINE_RUN} = '{pipeline_run_id}'")
    )


def _close_running(tracking_uri: str, parent: dict[str, Any] | None) -> bool:
    if parent is None or parent["info"]["status"] != "RUNNING":
        return False
    close_run_tree(tracking_uri, parent["info"]["run_id"])
    return True


def close_run_tree(tracking_uri: str, run_id: str) -> None:
    """Mark a run, and every run below it that is still RUNNING, as KILLED."""
    run = call_mlflow(
        tracking_uri,
        "runs/update",
        {"run_id": run_id, "status": "KILLED", "end_time": int(time.time() * 1000)},
    )
    search = {
        "experiment_ids": [run["run_info"]["experiment_id"]],
        "filter": f"attributes.status = 'RUNNING' and {below(run_id)}",
    }
    # What is closed is not found again, so each search gives the next page.
    while children := call_mlflow(tracking_uri, "runs/search", search).get("runs"):
        for child in children:
            close_run_tree(tracking_uri, child["info"]["run_id"])
