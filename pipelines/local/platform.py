"""The embedded platform: an object store and an MLflow server on the loopback interface."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from components.common.settings import environment, settings
from components.common.tracking.login import login_variables
from pipelines.local.clients import Client, registered_client
from pipelines.local.containers import CERTIFICATES
from pipelines.local.home import Home
from pipelines.local.home_keys import signing_variables
from pipelines.local.home_settings import HomeSettings
from pipelines.local.keeper import MLFLOW, STORE, KeeperState
from pipelines.local.keeper_control import Needs, kept_servers, living_keeper
from pipelines.local.mlflow_api import check_tracking_server
from pipelines.local.mlflow_server import mlflow_plan
from pipelines.local.ports import Ports
from pipelines.local.process import ServerPlan
from pipelines.local.store import Store, embedded_store, ensure_named_store, external_store, swift_plan
from pipelines.local.upgrade import upgrade_database

# The embedded server has no workspaces, and refuses requests that name one; it asks for no login either.
OF_NAMED_SERVERS = {
    "MLFLOW_WORKSPACE": "",
    "MLFLOW_TRACKING_AUTH": "",
    "MLFLOW_TRACKING_AWS_SIGV4": "false",
}


@dataclass(frozen=True)
class Platform:
    """Addresses of the running platform.

    Attributes:
        tracking_uri: Address of MLflow.
        s3_endpoint_url: Address of the object store.
        bucket: Bucket of the object store.
        environment: Variables by which the steps find both, to add to those of this process.
        ended: Set when the embedded servers were told to end though this process uses them.
    """

    tracking_uri: str
    s3_endpoint_url: str
    bucket: str
    environment: dict[str, str]
    ended: threading.Event = field(default_factory=threading.Event, compare=False)


@contextmanager
def embedded_platform(home: Home, client: Client | None = None) -> Iterator[Platform]:
    """Use the platform in `home` for as long as the context lasts, beside other commands that do.

    A store that `S3_ENDPOINT_URL` names and an MLflow server that `MLFLOW_TRACKING_URI` names are used as they are.
    What is not named is served by the home's keeper, a process that outlives this one while others use it. On SIGTERM
    the caller's `finally` blocks run only if it installs a handler.

    Args:
        home: The home.
        client: The registration of this process, where it has one already.

    Raises:
        PipelineError: The home cannot be used, a server does not start, others use servers of other code or settings,
            or a named server does not answer within seconds.
    """
    home.prepare()
    with ExitStack() as context:
        named_store, named_tracking = external_store(environment()), settings().mlflow_tracking_uri
        if named_store:
            ensure_named_store(named_store)
        if named_tracking:
            check_tracking_server(named_tracking)
        if named_store and named_tracking:
            yield _platform(home, named_store, named_tracking)
            return
        client = client or context.enter_context(registered_client(home))
        needs = _needs(home, named_store, named_tracking)
        state, ended = context.enter_context(kept_servers(client, needs))
        yield _platform(
            home, named_store or _served_store(home, state), named_tracking or state.addresses[MLFLOW], ended
        )


def running_platform(home: Home) -> str | None:
    """Return the address of MLflow where the keeper of `home` serves it, None where it does not."""
    if not home.keeper.is_dir():
        return None
    with home.mutex():
        state = living_keeper(home)
    return state.addresses[MLFLOW] if state and MLFLOW in state.ready else None


def _platform(home: Home, store: Store, tracking_uri: str, ended: threading.Event | None = None) -> Platform:
    variables = _step_environment(home, store, tracking_uri)
    return Platform(tracking_uri, store.endpoint_url, store.bucket, variables, ended or threading.Event())


def _served_store(home: Home, state: KeeperState) -> Store:
    port = int(state.addresses[STORE].rpartition(":")[2])
    return embedded_store(port, HomeSettings.of(home).secret_access_key)


def _needs(home: Home, named_store: Store | None, named_tracking: str | None) -> Needs:
    """Return what the home's keeper must serve; it starts MLflow even where another is named, for other clients."""

    def plan(ports: Ports) -> dict[str, ServerPlan]:
        upgrade_database(home)
        kept = HomeSettings.of(home)
        mlflow_listener = ports.listener(MLFLOW, kept.mlflow_port)
        if named_store:
            return {MLFLOW: mlflow_plan(home, named_store, mlflow_listener)}
        store_listener = ports.listener(STORE, kept.store_port)
        store = embedded_store(store_listener.getsockname()[1], kept.secret_access_key)
        return {
            STORE: swift_plan(home, store, store_listener),
            MLFLOW: mlflow_plan(home, store, mlflow_listener),
        }

    if not named_store:
        return Needs(frozenset({STORE} if named_tracking else {STORE, MLFLOW}), "", plan)
    named = [named_store.endpoint_url, named_store.bucket, dict(named_store.credentials)]
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
    return Needs(frozenset({MLFLOW}), digest, plan)


def _step_environment(home: Home, store: Store, tracking_uri: str) -> dict[str, str]:
    defaults = {
        "CHECKPOINT_DIR": str(home.checkpoints),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    present, named = environment(), settings()
    return {
        **store.environment,
        **signing_variables(home),
        **{name: value for name, value in present.items() if name.startswith(("MLFLOW_TRACKING_", "MODEL_"))},
        # Steps run in another directory.
        **{name: str(Path(path).resolve()) for name in CERTIFICATES if (path := present.get(name))},
        **login_variables(),
        "MLFLOW_TRACKING_URI": tracking_uri,
        **({} if named.mlflow_tracking_uri else OF_NAMED_SERVERS),
        "EMBEDDED_SERVERS": str(not (named.mlflow_tracking_uri or named.s3_endpoint_url)),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **{name: present.get(name, value) for name, value in defaults.items()},
    }
