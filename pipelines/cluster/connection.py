"""The connection to a Kubeflow Pipelines server, whose every error is one line within seconds."""

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from pipelines.cluster.port_forward import forwarded

if TYPE_CHECKING:
    import kfp
    from kfp_server_api import ApiException

CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
WAY_IN = "give a fresh one in KFP_TOKEN or --token-file"


@dataclass(frozen=True)
class Address:
    """Where the server is and how it knows us; a `token_file` is read anew for every request."""

    host: str | None = None
    namespace: str | None = None
    token_file: Path | None = None


@dataclass(frozen=True)
class Cluster:
    """A server that answered."""

    client: "kfp.Client"
    host: str
    namespace: str | None

    def link(self, path: str) -> str:
        return f"{self.host}/#/{path}"


@contextmanager
def connected(address: Address) -> Iterator[Cluster]:
    """Connect to the server at `address.host`, or through kubectl's port-forward where no host is given.

    Raises:
        PipelineError: No such server, one that does not accept us, or an error of its own in the block.
    """
    if address.host:
        host = address.host if "://" in address.host else f"https://{address.host}"
        with explained(host):
            yield _connect(host.rstrip("/"), address)
    else:
        with forwarded() as host, explained(host):
            yield _connect(host, address)


def _connect(host: str, address: Address) -> Cluster:
    import kfp
    from urllib3 import Retry

    multi_user = _is_multi_user(host, address)
    if multi_user and not address.namespace:
        raise PipelineError(
            f"--namespace must name your profile, because Kubeflow at {host} serves several users."
        )
    if address.namespace and not multi_user:
        raise PipelineError(
            f"--namespace is for a Kubeflow that serves several users, but {host} serves one: leave it out."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = kfp.Client(
            host=host,
            namespace=address.namespace or "kubeflow",
            credentials=_credentials(address),
            ssl_ca_cert=os.environ.get("SSL_CERT_FILE"),
        )
    client._existing_config.retries = Retry(total=2, connect=1, redirect=False)
    client._run_api.api_client.rest_client = _timed_rest_client(client._existing_config)
    return Cluster(client, host, address.namespace)


def _credentials(address: Address) -> Any:
    """Return the token as kfp wants it, None without one."""
    from kfp.client.token_credentials_base import TokenCredentialsBase

    class Token(TokenCredentialsBase):  # type: ignore[misc]
        def refresh_api_key_hook(self, config: Any) -> None:
            config.api_key["authorization"] = _token(address)

    return Token() if _token(address) else None


def _token(address: Address) -> str | None:
    if address.token_file is None:
        return os.environ.get("KFP_TOKEN")
    try:
        return address.token_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"--token-file must be a file with a token but {error}.") from None


def _is_multi_user(host: str, address: Address) -> bool:
    """Ask the server at once, without retries."""
    from kfp_server_api import ApiClient, Configuration, HealthzServiceApi

    configuration = Configuration(host=host)
    configuration.retries = False
    if certificates := os.environ.get("SSL_CERT_FILE"):
        configuration.ssl_ca_cert = certificates
    if token := _token(address):
        configuration.api_key = {"authorization": token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
    with ApiClient(configuration) as client:
        client.rest_client = _timed_rest_client(configuration)
        return bool(HealthzServiceApi(client).healthz_service_get_healthz().multi_user)


def _timed_rest_client(configuration: Any) -> Any:
    """Return a REST client that gives up, and refuses what is no API; kfp reads a login page as an empty answer."""
    from kfp_server_api import ApiException
    from kfp_server_api.rest import RESTClientObject

    class Timed(RESTClientObject):  # type: ignore[misc]
        def request(self, *args: Any, **options: Any) -> Any:
            options["_request_timeout"] = (CONNECT_SECONDS, READ_SECONDS)
            try:
                response = super().request(*args, **options)
            except ApiException as error:
                if error.body is None:  # kfp's client fails on this, its own word for an SSL error
                    raise PipelineError(_untrusted(configuration.host, error)) from error
                if error.status == 404 and "json" not in error.headers.get("Content-Type", ""):
                    raise PipelineError(_foreign(configuration.host, "HTTP 404")) from error
                raise
            kind = response.urllib3_response.headers.get("Content-Type", "nothing")
            if "json" not in kind:
                raise PipelineError(_foreign(configuration.host, kind))
            return response

    return Timed(configuration)


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
            f"no Kubeflow Pipelines answers at {host} ({_cause(error)}): correct --host, or leave it out to go "
            "through kubectl port-forward."
        ) from error


def _refusal(host: str, error: "ApiException") -> str:
    said = message_of(error)
    if error.status == 401 or error.status in {302, 303, 307}:
        return f"Kubeflow at {host} refuses the token (HTTP {error.status}: {said}): {WAY_IN}."
    if error.status == 403:
        return f"Kubeflow at {host} forbids that (HTTP 403: {said}): ask for the right, or {WAY_IN}."
    return f"Kubeflow at {host} refused with HTTP {error.status}: {said}"


def _foreign(host: str, answer: str) -> str:
    return (
        f"{host} must be the API of Kubeflow Pipelines but answers with {answer}: correct --host (it often ends in "
        f"/pipeline), or, where that is a login page, {WAY_IN}."
    )


def _untrusted(host: str, error: "ApiException") -> str:
    said = _first_line(str(error.reason).partition("\n")[2])
    return f"no trusted connection to {host} ({said}): name its certificates in SSL_CERT_FILE."


def message_of(error: "ApiException") -> str:
    """Return what the server said, without kfp's headers around it and the server's own call stack."""
    try:
        body = json.loads(error.body or "")
    except ValueError:
        return _first_line(str(error.reason))
    said = body.get("message") or body.get("error_message") or body.get("error") or error.reason
    return _first_line(str(said))


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:400]


def _cause(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _cause(reason)
    return _first_line(str(error).rpartition(": ")[2])
