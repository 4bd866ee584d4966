"""Calls of MLflow's REST API without MLflow's client.

The start of a run and of every command needs them, and to import `mlflow.MlflowClient` takes 1.8 to 2.4 s of processor
time (MLflow 3.17.2 on two cores).
"""

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from components.common.errors import PipelineError
from components.common.settings import settings
from components.common.tracking.tags import IS_PIPELINE, below

PAGE = 1000
# In one search for runs: SQLite takes so many values in one query for sure.
MOST_EXPERIMENTS = 500


def call_mlflow(
    tracking_uri: str, method: str, payload: dict[str, Any] | None = None, *, seconds: float = 60
) -> dict[str, Any]:
    """POST to `/api/2.0/mlflow/<method>`, or GET it without a payload, as MLflow's own client would.

    Raises:
        OSError: No answer (`urllib.error.URLError`), or one that is an error (`urllib.error.HTTPError`).
        ValueError: An answer that is not JSON.
    """
    data = json.dumps(payload).encode() if payload is not None else None
    answer: dict[str, Any] = json.loads(_request(tracking_uri, f"mlflow/{method}", data, seconds))
    return answer


def fetch_mlflow_artifact(tracking_uri: str, path: str, *, seconds: float = 60) -> bytes:
    """Return a file that the server keeps for its clients; `path` is that of `mlflow-artifacts:/path`.

    Raises:
        OSError: As `call_mlflow`.
    """
    return _request(tracking_uri, f"mlflow-artifacts/artifacts/{quote(path)}", None, seconds)


def _request(tracking_uri: str, path: str, data: bytes | None, seconds: float) -> bytes:
    request = urllib.request.Request(  # noqa: S310
        f"{tracking_uri.rstrip('/')}/api/2.0/{path}",
        data=data,
        headers={"Content-Type": "application/json", **_authorization()},
    )
    address = urlsplit(tracking_uri)
    loopback = address.hostname in {"127.0.0.1", "localhost", "::1"}
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({} if loopback else None)]
    if address.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=_trusted(settings().ssl_cert_file)))
    with urllib.request.build_opener(*handlers).open(request, timeout=seconds) as response:
        content: bytes = response.read()
    return content


@lru_cache(maxsize=1)
def _trusted(certificates: Path | None) -> ssl.SSLContext:
    # Reading the system's certificates takes longer than a request. SSL_CERT_FILE, the key, is read by `ssl` itself.
    del certificates
    return ssl.create_default_context()


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
        PipelineError: No server does, or it refuses the request.
    """
    if urlsplit(tracking_uri).scheme not in {"http", "https"}:
        raise PipelineError(
            f"MLFLOW_TRACKING_URI must be the http(s) address of an MLflow server but got {tracking_uri}: "
            "correct it, or unset it to use the embedded server."
        )
    try:
        call_mlflow(tracking_uri, "experiments/search", {"max_results": 1}, seconds=5)
    except urllib.error.HTTPError as error:
        raise PipelineError(
            f"the MLflow server at {tracking_uri} refused a request with HTTP {error.code} ({error.reason}): "
            "correct MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "or the hosts that the server allows."
        ) from None
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"no MLflow server answers at {tracking_uri} ({error}): "
            "start it or correct MLFLOW_TRACKING_URI, or unset it to use the embedded server."
        ) from None


def find_parent(tracking_uri: str, run_name: str) -> dict[str, Any] | None:
    """Return the pipeline's run of that name as MLflow's API describes it."""
    ids = [
        experiment["experiment_id"]
        for experiment in mlflow_pages(
            partial(call_mlflow, tracking_uri), "experiments/search", "experiments"
        )
    ]
    for part in batched(ids, MOST_EXPERIMENTS):
        search = {"experiment_ids": part, "filter": f"attributes.run_name = '{run_name}' and {IS_PIPELINE}"}
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


def batched(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield the values in parts of so many at most."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


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
    # What is closed is not found again, so each search gives the next page.
    while children := call_mlflow(tracking_uri, "runs/search", search).get("runs"):
        for child in children:
            close_run_tree(tracking_uri, child["info"]["run_id"])
