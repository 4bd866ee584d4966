"""Requests to an MLflow server with the settings of MLflow's own client, without its import."""

import base64
import json
import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError, UnavailableError, is_outage_status
from components.common.settings import LOOPBACK, direct, settings
from components.common.storage.address import shown
from components.common.tracking.client import mlflow_must_answer
from components.common.tracking.failures import REFUSAL, is_outage, reason
from components.common.tracking.login import PASSWORD, TOKEN, USER, login_variables

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 5
RETRIES, BACKOFF_SECONDS = 2, 0.25
CONNECTIONS = 16
CHUNK = 1 << 14
LOG = "look into the log of the server"
WORKSPACE = "correct MLFLOW_WORKSPACE, or unset it"
LOGIN = "correct MLFLOW_TRACKING_URI, the login, or the hosts that the server allows"


def request_mlflow(tracking_uri: str, path: str, payload: dict[str, Any] | None, seconds: float) -> bytes:
    """Return the answer to a POST of JSON, or to a GET without a payload.

    Args:
        tracking_uri: Address of the server.
        path: Path below that address.
        payload: What to post.
        seconds: Bound of the whole answer; that of a connection is `CONNECT_SECONDS`.

    Raises:
        UnavailableError: The server is away, busy or broken.
        PipelineError: It refuses, or its address or certificate cannot be used.
    """
    url = f"{tracking_uri.rstrip('/')}/{path}"
    try:
        response, content = _answer(url, payload, seconds)
    except OSError as error:  # that of a request, or of a file of certificates
        kind = UnavailableError if is_outage(error) else PipelineError
        raise kind(
            f"no MLflow server answers at {shown(tracking_uri)} ({reason(error)}): start it or correct "
            "MLFLOW_TRACKING_URI, for https also MLFLOW_TRACKING_SERVER_CERT_PATH, or unset it to use the embedded "
            "server."
        ) from error
    if response.ok:
        return content
    code, told = _told(content)
    # Who is refused for the login, or reaches another server, is not told by MLflow.
    of_address = response.status_code in {401, 403} or not told
    outage = is_outage_status(response.status_code) and code != REFUSAL
    kind = UnavailableError if outage else PipelineError
    raise kind(
        f"the MLflow server at {shown(tracking_uri)} refused a request with HTTP {response.status_code} "
        f"({told or response.reason}): {LOGIN if of_address else WORKSPACE if told.startswith('Workspace') else LOG}."
    )


def _answer(url: str, payload: dict[str, Any] | None, seconds: float) -> "tuple[requests.Response, bytes]":
    """Make a request as MLflow's client would, and read its answer."""
    import requests

    given, deadline = settings(), time.monotonic() + seconds
    certificates, own = given.mlflow_tracking_server_cert_path, given.mlflow_tracking_client_cert_path
    content = bytearray()
    with _session(os.getpid()).request(
        "GET" if payload is None else "POST",
        url,
        json=payload,
        headers=_headers(),
        auth=_plugin(),
        verify=str(certificates) if certificates else not given.mlflow_tracking_insecure_tls,
        cert=str(own) if own else None,
        proxies=direct(*LOOPBACK),
        timeout=(min(CONNECT_SECONDS, seconds), seconds),
        stream=True,
    ) as response:
        for chunk in response.iter_content(CHUNK):
            content += chunk
            if time.monotonic() > deadline:
                raise requests.Timeout(f"the answer took longer than {seconds:g} s")
    return response, bytes(content)


@lru_cache(maxsize=1)
def _session(process: int) -> "requests.Session":
    """Return a session, which keeps its connections and repeats a request as MLflow's client does.

    Args:
        process: This process; a child must not share connections.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    del process  # the key of the cache
    repeated = Retry(
        total=RETRIES,
        connect=0,
        backoff_factor=BACKOFF_SECONDS,
        status_forcelist=[status for status in range(400, 600) if is_outage_status(status)],
        allowed_methods=None,
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=repeated))
    return session


def _headers() -> dict[str, str]:
    given, login = settings(), login_variables()
    headers = {}
    if given.mlflow_workspace and given.mlflow_tracking_uri:
        headers["X-MLFLOW-WORKSPACE"] = given.mlflow_workspace
    if USER in login:
        encoded = base64.b64encode(f"{login[USER]}:{login[PASSWORD]}".encode()).decode()
        headers["Authorization"] = f"Basic {encoded}"
    elif TOKEN in login:
        headers["Authorization"] = f"Bearer {login[TOKEN]}"
    return headers


def _plugin() -> Any:
    """Return the login that a plugin of MLflow's client makes, None without one; this imports MLflow."""
    given = settings()
    if given.mlflow_tracking_aws_sigv4:
        try:
            from requests_auth_aws_sigv4 import AWSSigV4
        except ImportError:
            raise PipelineError(
                "MLFLOW_TRACKING_AWS_SIGV4 needs the package requests-auth-aws-sigv4 but it is missing: install it."
            ) from None
        return AWSSigV4("execute-api")
    if given.mlflow_tracking_auth:
        with mlflow_must_answer():
            from mlflow.tracking.request_auth.registry import fetch_auth

            return fetch_auth(given.mlflow_tracking_auth)
    return None


def _told(content: bytes) -> tuple[str, str]:
    """Return code and message of an answer of MLflow that is an error; "" and "" for one of something else."""
    try:
        found = json.loads(content)
        return str(found["error_code"]), str(found["message"]).partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        return "", ""
