"""The embedded platform: an object store and an MLflow server on the loopback interface."""

import fcntl
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from components.common.settings import environment, settings
from pipelines.local.home import Home, HomeSettings
from pipelines.local.mlflow_api import check_tracking_server, close_abandoned_runs
from pipelines.local.mlflow_server import start_mlflow, wait_for_mlflow
from pipelines.local.process import free_port
from pipelines.local.store import (
    Store,
    accepts_connections,
    embedded_store,
    ensure_bucket,
    external_store,
    start_swift,
)

ANNOUNCED = re.compile(r"MLflow at (\S+)\)")


@dataclass(frozen=True)
class Platform:
    """Addresses of the running platform.

    Attributes:
        tracking_uri: Address of MLflow.
        s3_endpoint_url: Address of the object store.
        bucket: Bucket of the object store.
        environment: Variables by which the steps find both, to add to those of this process.
    """

    tracking_uri: str
    s3_endpoint_url: str
    bucket: str
    environment: dict[str, str]


@contextmanager
def embedded_platform(home: Home) -> Iterator[Platform]:
    """Run the platform in `home` for as long as the context lasts.

    A store that `S3_ENDPOINT_URL` names and an MLflow server that `MLFLOW_TRACKING_URI` names are used as they are.
    A server that is not named is started, and ends with this process, even after SIGTERM or kill -9. On SIGTERM the
    caller's `finally` blocks run only if it installs a handler.

    Raises:
        PipelineError: The home is in use or cannot be used, a server does not start, or a named server does not
            answer within seconds.
    """
    with home.locked() as lock, ExitStack() as servers:
        kept = home.settings()
        store, wait_for_store = _open_store(home, kept, servers)
        tracking_uri, wait_for_tracking = _open_tracking(home, kept, store, servers)
        wait_for_store()
        wait_for_tracking()
        lock.announce(tracking_uri)
        yield Platform(
            tracking_uri, store.endpoint_url, store.bucket, _step_environment(home, store, tracking_uri)
        )


def running_platform(home: Home) -> str | None:
    """Return the address of MLflow where the platform of `home` runs, None where it does not."""
    try:
        file = (home.path / "lock").open(encoding="utf-8")
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            announced = ANNOUNCED.search(file.read())
            return announced[1] if announced else None
    return None


def _open_store(home: Home, kept: HomeSettings, servers: ExitStack) -> tuple[Store, Callable[[], None]]:
    if named := external_store(environment()):
        ensure_bucket(
            named,
            way_out="correct S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and S3_BUCKET, "
            "or unset S3_ENDPOINT_URL to use the embedded store",
        )
        return named, lambda: None
    port = free_port(kept.store_port)
    store = embedded_store(port, kept.secret_access_key)
    swift = servers.enter_context(start_swift(home, store, port))

    def wait() -> None:
        swift.wait_until_ready(lambda: accepts_connections(port))
        ensure_bucket(store, way_out=f"see {swift.log_path}")

    return store, wait


def _open_tracking(
    home: Home, kept: HomeSettings, store: Store, servers: ExitStack
) -> tuple[str, Callable[[], None]]:
    if named := settings().mlflow_tracking_uri:
        check_tracking_server(named)
        return named, lambda: None
    port = free_port(kept.mlflow_port)
    tracking_uri = f"http://127.0.0.1:{port}"
    mlflow = servers.enter_context(start_mlflow(home, store, port))

    def wait() -> None:
        wait_for_mlflow(mlflow, tracking_uri)
        close_abandoned_runs(tracking_uri)

    return tracking_uri, wait


def _step_environment(home: Home, store: Store, tracking_uri: str) -> dict[str, str]:
    defaults = {
        "CHECKPOINT_DIR": str(home.path / "checkpoints"),
        "OPTUNA_STORAGE": str(home.optuna / "journal.log"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    present = environment()
    return {
        **store.environment,
        **{name: value for name, value in present.items() if name.startswith("MLFLOW_TRACKING_")},
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **{name: present.get(name, value) for name, value in defaults.items()},
    }
