"""Errors of the connection to a Kubeflow Pipelines server, as one line each."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from components.common.storage.address import shown

if TYPE_CHECKING:
    from kfp_server_api import ApiException

WAY_IN = "give a token in KFP_TOKEN or --token-file, a session in KFP_COOKIE, or KFP_USERNAME and KFP_PASSWORD for Dex"


@contextmanager
def explained(host: str) -> Iterator[None]:
    """Turn an error of kfp's client into one line.

    Raises:
        PipelineError: A call in the block failed.
    """
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        raise PipelineError(_refusal(host, error)) from error
    except HTTPError as error:
        raise PipelineError(
            f"no Kubeflow Pipelines answers at {shown(host)} ({cause(error)}): correct --host, or leave it out to go "
            "through kubectl port-forward."
        ) from error


def _refusal(host: str, error: "ApiException") -> str:
    reported = message_of(error)
    if error.status == 401 or error.status in {302, 303, 307}:
        return f"Kubeflow at {shown(host)} refuses the login (HTTP {error.status}: {reported}): {WAY_IN}."
    if error.status == 403:
        return (
            f"Kubeflow at {shown(host)} forbids that (HTTP 403: {reported}): ask for the right, or {WAY_IN}."
        )
    return (
        f"Kubeflow at {shown(host)} refused a request (HTTP {error.status}: {reported}): correct the command, or read "
        "the log of the server."
    )


def foreign(host: str, answer: str) -> str:
    """Return the line for a server that is no Kubeflow Pipelines."""
    return (
        f"{shown(host)} must be the API of Kubeflow Pipelines but answers with {answer}: correct --host (it often ends "
        f"in /pipeline), or, where that is a login page, {WAY_IN}."
    )


def untrusted(host: str, error: "ApiException") -> str:
    """Return the line for a certificate that is not trusted."""
    reported = _first_line(str(error.reason).partition("\n")[2])
    return f"no trusted connection to {shown(host)} ({reported}): name its certificates in SSL_CERT_FILE."


def message_of(error: "ApiException") -> str:
    """Return the server's message, without kfp's headers around it and without the server's call stack."""
    try:
        body = json.loads(error.body or "")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return _first_line(str(error.reason))
    reported = body.get("message") or body.get("error_message") or body.get("error") or error.reason
    return _first_line(str(reported))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:400]


def cause(error: BaseException) -> str:
    """Return the first cause of an error of the connection."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return cause(reason)
    return _first_line(str(error).rpartition(": ")[2])
