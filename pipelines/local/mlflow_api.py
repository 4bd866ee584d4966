"""Calls of MLflow's REST API without MLflow's client.

The start of a run and of every command needs them, and to import `mlflow.MlflowClient` takes 1.8 to 2.4 s of processor
time (MLflow 3.17.2 on two cores).
"""

import base64
import json
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from components.common.errors import PipelineError, UnavailableError, is_outage_status
from components.common.settings import settings
from components.common.tracking.failures import is_outage, reason
from components.common.tracking.tags import IS_PIPELINE, below

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 5


def call_mlflow(
    tracking_uri: str, method: str, payload: dict[str, Any] | None = None, *, seconds: float = 60
) -> dict[str, Any]:
    """POST to `/api/2.0/mlflow/<method>`, or GET it without a payload, as MLflow's own client would.

    Raises:
        UnavailableError: The server is away, busy or broken.
        PipelineError: It refuses, or is no MLflow server.
    """
    content = _request(tracking_uri, f"mlflow/{method}", payload, seconds)
    try:
        answer: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise PipelineError(
            f"the server at {tracking_uri} must be MLflow but answers with something else ({error}): "
            "correct MLFLOW_TRACKING_URI."
        ) from None
    return answer


def fetch_mlflow_artifact(tracking_uri: str, path: str, *, seconds: float = 60) -> bytes:
    """Return a file that the server keeps for its clients; `path` is that of `mlflow-artifacts:/path`.

    Raises:
        UnavailableError, PipelineError: As `call_mlflow`.
    """
    return _request(tracking_uri, f"mlflow-artifacts/artifacts/{quote(path)}", None, seconds)


def _request(tracking_uri: str, path: str, payload: dict[str, Any] | None, seconds: float) -> bytes:
    import requests

    loopback = urlsplit(tracking_uri).hostname in {"127.0.0.1", "localhost", "::1"}
    try:
        response = _session().request(
            "GET" if payload is None else "POST",
            f"{tracking_uri.rstrip('/')}/api/2.0/{path}",
            json=payload,
            headers=_authorization(),
            timeout=(CONNECT_SECONDS, seconds),
            proxies={"no_proxy": "*"} if loopback else None,
        )
    except requests.RequestException as error:
        kind = UnavailableError if is_outage(error) else PipelineError
        raise kind(
            f"no MLflow server answers at {tracking_uri} ({reason(error)}): start it or correct MLFLOW_TRACKING_URI."
        ) from error
    if response.ok:
        return response.content
    told, login = (
        _told(response),
        "correct MLFLOW_TRACKING_URI, the login, or the hosts that the server allows",
    )
    of_address = response.status_code in {401, 403} or not told
    kind = UnavailableError if is_outage_status(response.status_code) else PipelineError
    raise kind(
        f"the MLflow server at {tracking_uri} refused a request with HTTP {response.status_code} "
        f"({told or response.reason}): {login if of_address else 'look into the log of the server'}."
    )


def _told(response: "requests.Response") -> str:
    """Return what an answer of MLflow that is an error says, "" for one of something else."""
    try:
        return str(response.json()["message"]).partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        return ""


@lru_cache(maxsize=1)
def _session() -> "requests.Session":
    """Return a session, which keeps its connections."""
    import requests

    return requests.Session()


def _authorization() -> dict[str, str]:
    given = settings()
    token, user = given.mlflow_tracking_token, given.mlflow_tracking_username
    if user:
        login = f"{user}:{given.mlflow_tracking_password}"
        return {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}


def check_tracking_server(tracking_uri: str) -> None:
    """Make sure within seconds that an MLflow server answers there.

    Raises:
        UnavailableError: No server does.
        PipelineError: It refuses the request, or is no MLflow server.
    """
    if urlsplit(tracking_uri).scheme not in {"http", "https"}:
        raise PipelineError(
            f"MLFLOW_TRACKING_URI must be the http(s) address of an MLflow server but got {tracking_uri}: "
            "correct it, or unset it to use the embedded server."
        )
    call_mlflow(tracking_uri, "experiments/search", {"max_results": 1}, seconds=5)


def find_parent(tracking_uri: str, run_name: str) -> dict[str, Any] | None:
    """Return the pipeline's run of that name as MLflow's API describes it."""
    experiments = call_mlflow(tracking_uri, "experiments/search", {"max_results": 1000}).get(
        "experiments", []
    )
    search = {
        "experiment_ids": [experiment["experiment_id"] for experiment in experiments],
        "filter": f"attributes.run_name = '{run_name}' and {IS_PIPELINE}",
    }
    runs = call_mlflow(tracking_uri, "runs/search", search).get("runs", [])
    return runs[0] if runs else None


def close_run_named(tracking_uri: str, run_name: str) -> None:
    """Mark the pipeline's run of that name, where it is RUNNING, and the RUNNING runs below it as KILLED."""
    parent = find_parent(tracking_uri, run_name)
    if parent and parent["info"]["status"] == "RUNNING":
        close_run_tree(tracking_uri, parent["info"]["run_id"])


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
    for child in call_mlflow(tracking_uri, "runs/search", search).get("runs", []):
        close_run_tree(tracking_uri, child["info"]["run_id"])
