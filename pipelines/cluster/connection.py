"""The connection to a Kubeflow Pipelines server; each error is one line within seconds."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from components.common.settings import LOOPBACK, direct, environment, settings
from components.common.storage.address import LOGIN_IN_CLEAR, in_clear, shown
from pipelines.cluster.errors import explained, foreign, untrusted
from pipelines.cluster.login import session_cookie
from pipelines.cluster.port_forward import forwarded
from pipelines.compat.kfp_client import api_client_of

if TYPE_CHECKING:
    import kfp

CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
# What a pod finds in the cluster of Kubeflow, as kfp's client looks for it.
IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
TOKEN_FILE = Path("/var/run/secrets/kubeflow/pipelines/token")
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Address:
    """Address of the server, and the user's credentials; a `token_file` is read again for every request."""

    host: str | None = None
    namespace: str | None = None
    token_file: Path | None = None


@dataclass(frozen=True)
class Cluster:
    """A server that answered, with the address `host` of its pages; `reconnect` opens a closed tunnel again."""

    client: "kfp.Client"
    host: str
    namespace: str | None
    reconnect: Callable[[], None]

    def link(self, path: str) -> str:
        """Return the address of a page of Kubeflow's UI."""
        return f"{self.host}/#/{path}"


@contextmanager
def connected(address: Address) -> Iterator[Cluster]:
    """Connect to the server at `address.host`; without one, to that of the own cluster, or of kubectl's.

    In a pod without a kubeconfig the server is that of its cluster, and token and namespace are the pod's. Elsewhere
    kubectl forwards a port.

    Raises:
        PipelineError: No such server, one that refuses the login, or one that answers with an error in the block.
    """
    if address.host:
        host = address.host if "://" in address.host else f"https://{address.host}"
        with explained(host):
            yield _connect(host.rstrip("/"), address, _cookie(host.rstrip("/"), address))
    elif settings().kubernetes_service_host and not _has_kubeconfig():
        with explained(IN_CLUSTER):
            yield _connect(IN_CLUSTER, _of_this_pod(address))
    else:
        with forwarded() as tunnel, explained(tunnel.host):
            yield _connect(tunnel.host, address, reconnect=tunnel.reopen)


def _has_kubeconfig() -> bool:
    """Whether kubectl is told of a cluster, such as in the pod of a CI system that deploys to another one."""
    return bool(environment().get("KUBECONFIG")) or Path("~/.kube/config").expanduser().exists()


def _of_this_pod(address: Address) -> Address:
    """Return the address with the pod's own token, where nothing else is given and it has one."""
    if address.token_file or settings().kfp_token or not TOKEN_FILE.exists():
        return address
    return replace(address, token_file=TOKEN_FILE)


def _cookie(host: str, address: Address) -> str | None:
    """Return the session that is given, or that user and password open; None where there is a token or nothing."""
    given = settings()
    token, password = _token(address), given.kfp_username and given.kfp_password
    if (token or given.kfp_cookie or password) and in_clear(host):
        print(f"warning: {shown(host)} {LOGIN_IN_CLEAR}", file=sys.stderr)
    if token or given.kfp_cookie or not password:
        return given.kfp_cookie
    return session_cookie(
        host,
        given.kfp_username or "",
        password,
        certificates=_certificates(),
        proxies=_proxies(host),
    )


def _connect(
    host: str, address: Address, cookie: str | None = None, reconnect: Callable[[], None] = lambda: None
) -> Cluster:
    import kfp
    from urllib3 import Retry

    multi_user, namespace = _is_multi_user(host, address, cookie), address.namespace
    if multi_user and not namespace and host == IN_CLUSTER and NAMESPACE_FILE.exists():
        namespace = NAMESPACE_FILE.read_text().strip()
    if multi_user and not namespace:
        raise PipelineError(
            f"--namespace must name your profile, because Kubeflow at {shown(host)} serves several users."
        )
    if namespace and not multi_user:
        raise PipelineError(
            f"--namespace is for a Kubeflow that serves several users, but {shown(host)} serves one: leave it out."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = kfp.Client(
            host=host,
            namespace=namespace or "kubeflow",
            credentials=_credentials(address),
            # Without one kfp would take what a file of its own holds, for whatever server that was.
            cookies=cookie or "",
            ssl_ca_cert=_certificates(),
        )
    transport = api_client_of(client)
    transport.configuration.retries = Retry(total=1, read=0, redirect=False)
    _use_proxy(transport.configuration)
    transport.rest_client = _timed_rest_client(transport.configuration)
    pages = (settings().kf_pipelines_ui_endpoint or host).rstrip("/")
    return Cluster(client, pages, namespace, reconnect)


def _credentials(address: Address) -> Any:
    """Return the token as kfp wants it, None without one."""
    from kfp.client.token_credentials_base import TokenCredentialsBase

    class Token(TokenCredentialsBase):  # type: ignore[misc]
        def refresh_api_key_hook(self, config: Any) -> None:
            config.api_key["authorization"] = _token(address)

    return Token() if _token(address) else None


def _token(address: Address) -> str | None:
    if address.token_file is None:
        return settings().kfp_token
    try:
        return address.token_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"--token-file must be a file with a token but {error}.") from None


def _certificates() -> str | None:
    given = settings()
    found = given.ssl_cert_file or given.requests_ca_bundle or given.curl_ca_bundle
    return str(found) if found else None


def _proxies(host: str) -> dict[str, str]:
    """Return the proxies that the environment names for this address, by scheme."""
    from requests.utils import get_environ_proxies

    found: dict[str, str] = get_environ_proxies(host, direct(*LOOPBACK)["no_proxy"])
    return found


def _use_proxy(configuration: Any) -> None:
    """Let the client use the proxy that the environment names, which it does not read itself."""
    from requests.utils import get_auth_from_url, select_proxy, urldefragauth
    from urllib3 import make_headers

    host = configuration.host
    if proxy := select_proxy(host, _proxies(host)):
        user, password = get_auth_from_url(proxy)
        configuration.proxy = urldefragauth(proxy)
        if user:
            configuration.proxy_headers = make_headers(proxy_basic_auth=f"{user}:{password}")


def _is_multi_user(host: str, address: Address, cookie: str | None) -> bool:
    """Ask the server at once, without retries."""
    from kfp_server_api import ApiClient, Configuration, HealthzServiceApi

    configuration = Configuration(host=host)
    configuration.retries = False
    _use_proxy(configuration)
    if certificates := _certificates():
        configuration.ssl_ca_cert = certificates
    if token := _token(address):
        configuration.api_key = {"authorization": token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
    with ApiClient(configuration, cookie=cookie) as client:
        client.rest_client = _timed_rest_client(configuration)
        return bool(HealthzServiceApi(client).healthz_service_get_healthz().multi_user)


def _timed_rest_client(configuration: Any) -> Any:
    """Return a REST client with timeouts that refuses other pages; kfp reads a login page as an empty answer."""
    from kfp_server_api import ApiException
    from kfp_server_api.rest import RESTClientObject

    class Timed(RESTClientObject):  # type: ignore[misc]
        def request(self, *args: Any, **options: Any) -> Any:
            options["_request_timeout"] = (CONNECT_SECONDS, READ_SECONDS)
            try:
                response = super().request(*args, **options)
            except ApiException as error:
                if error.body is None:  # an SSL error, on which kfp's client fails
                    raise PipelineError(untrusted(configuration.host, error)) from error
                if error.status == 404 and "json" not in error.headers.get("Content-Type", ""):
                    raise PipelineError(foreign(configuration.host, "HTTP 404")) from error
                raise
            kind = response.urllib3_response.headers.get("Content-Type", "nothing")
            if "json" not in kind:
                raise PipelineError(foreign(configuration.host, kind))
            return response

    return Timed(configuration)
