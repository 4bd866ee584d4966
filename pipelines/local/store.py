"""The S3-compatible object store: an embedded OpenStack Swift, or the one that the environment names."""

import importlib.util
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import PipelineError
from components.common.settings import LOOPBACK, direct, environment
from components.common.storage.s3 import (
    DEFAULT_BUCKET,
    client_variables,
    ensure_bucket,
    s3_client,
    store_must_answer,
)
from pipelines.local.home import Home
from pipelines.local.process import ServerPlan

SWIFT_SERVER = Path(__file__).with_name("swift_server.py")
ACCESS_KEY_ID = "mnist:pipeline"  # Swift's account and user
EXTERNAL_STORE = (
    "set S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and S3_BUCKET to use another store"
)
UNSET = (
    "correct S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION and S3_BUCKET, "
    "or unset S3_ENDPOINT_URL to use the embedded store"
)


@dataclass(frozen=True)
class Store:
    """Address, bucket and credentials of a store.

    Attributes:
        endpoint_url: Address of the server.
        bucket: The bucket.
        credentials: `AWS_*` variables.
    """

    endpoint_url: str
    bucket: str
    credentials: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which the steps and MLflow reach the store."""
        return {
            **direct(*LOOPBACK),
            "S3_ENDPOINT_URL": self.endpoint_url,
            **client_variables(self.endpoint_url),
            "S3_BUCKET": self.bucket,
            **self.credentials,
        }


def external_store(variables: Mapping[str, str]) -> Store | None:
    """Return the store that `S3_ENDPOINT_URL` names, None where it is not set."""
    if not (endpoint_url := variables.get("S3_ENDPOINT_URL")):
        return None
    credentials = {name: value for name, value in variables.items() if name.startswith("AWS_")}
    return Store(
        endpoint_url,
        variables.get("S3_BUCKET") or DEFAULT_BUCKET,
        {"AWS_DEFAULT_REGION": "us-east-1"} | credentials,
    )


def embedded_store(port: int, secret_access_key: str) -> Store:
    """Return the address of the embedded store and the credentials that it is started with."""
    credentials = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": secret_access_key,
        # One from the user's environment belongs to another key.
        "AWS_SESSION_TOKEN": "",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return Store(f"http://127.0.0.1:{port}", DEFAULT_BUCKET, credentials)


def swift_plan(home: Home, store: Store, listener: socket.socket) -> ServerPlan:
    """Return how to start the embedded store, which makes its bucket itself.

    Raises:
        PipelineError: It cannot work on this machine or in this directory.
    """
    if sys.platform != "linux" or importlib.util.find_spec("swift") is None:
        raise PipelineError(
            "the embedded object store needs Linux and the Python packages swift and pyeclib "
            f"but got {sys.platform}{' without them' if sys.platform == 'linux' else ''}: {EXTERNAL_STORE}."
        )
    try:
        os.setxattr(home.store, "user.mnist-pipeline", b"1")
    except OSError as error:
        raise PipelineError(
            f"the embedded object store needs a file system with extended attributes but {home.store} "
            f"has none ({error.strerror}): choose another directory with --home, or {EXTERNAL_STORE}."
        ) from None
    return ServerPlan(
        "the object store",
        [sys.executable, "-P", "-W", "ignore", str(SWIFT_SERVER), str(listener.fileno())],
        environment=environment(store.environment),
        directory=str(home.store),
        log=str(home.logs / "store.log"),
        listener=listener.fileno(),
        port=listener.getsockname()[1],
        probe="/healthcheck",
    )


def ensure_named_store(store: Store) -> None:
    """Make sure that a store of one's own answers, and that it has the bucket.

    Raises:
        UnavailableError: The store does not answer within seconds.
        PipelineError: It refuses.
    """
    with store_must_answer(store.bucket, store.endpoint_url, UNSET):
        ensure_bucket(s3_client(store.endpoint_url, store.credentials), store.bucket)
