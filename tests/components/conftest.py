"""Small data of MNIST's form, a web server that hands it out, and an empty bucket in the object store."""

import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from components.common.data.dataset import Split
from components.common.data.raw_data import write_part
from components.common.storage.object_store import ObjectStore
from components.common.tracking.client import configure_mlflow
from tests.records import random_split
from tests.servers import Platform, close_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mypy_boto3_s3 import S3Client


# Paths of the requests that a server of `web_server` got, and how each was authorized.
REQUESTS: list[tuple[str, str | None]] = []


class Handler(SimpleHTTPRequestHandler):
    """Serves files; below ``/broken`` nothing works, and below ``/short`` answers break off."""

    def do_GET(self) -> None:
        REQUESTS.append((self.path, self.headers["Authorization"]))
        if self.path.startswith("/broken/"):
            self.send_error(503)
        elif self.path.startswith("/short/"):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"short")
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def make_split() -> Callable[..., Split]:
    return random_split


@pytest.fixture
def raw(tmp_path: Path, make_split: Callable[..., Split]) -> Path:
    """Directory ``small`` with idx files of 40 training and 20 test images."""
    directory = tmp_path / "sources" / "small"
    directory.mkdir(parents=True)
    write_part(directory, "train", make_split(40))
    write_part(directory, "test", make_split(20, seed=1))
    return directory


@pytest.fixture
def web_server(raw: Path) -> Iterator[str]:
    """Address of a server of the directory that `raw` lies in."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(raw.parent))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def web_requests(web_server: str) -> list[tuple[str, str | None]]:
    """Path and authorization of each request to `web_server`, as they come."""
    del web_server
    REQUESTS.clear()
    return REQUESTS


@pytest.fixture
def no_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_ENDPOINT_URL", "S3_BUCKET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def s3_client(platform: Platform) -> "S3Client":
    """A plain client of the embedded store, to look behind the code under test."""
    return boto3.Session(
        aws_access_key_id=platform.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=platform.environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    ).client("s3", endpoint_url=platform.s3_endpoint_url)


@pytest.fixture
def store(platform: Platform, s3_client: "S3Client", monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The store of the environment, on an empty bucket."""
    bucket = f"test-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    for name, value in (platform.environment | {"S3_BUCKET": bucket}).items():
        monkeypatch.setenv(name, value)
    found = ObjectStore.from_environment()
    assert found is not None
    return found


@pytest.fixture
def mlflow_client(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> "Iterator[MlflowClient]":
    """A plain client of an MLflow server, which the environment names as it does in a step.

    The server is the embedded one, or that of the fixture that an indirect parameter names. Runs that are left open
    are closed at the end.
    """
    from mlflow import MlflowClient

    platform: Platform = request.getfixturevalue(getattr(request, "param", "platform"))

    for name in ("MLFLOW_RUN_ID", "MLFLOW_RUN_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    configure_mlflow()
    yield MlflowClient()
    close_runs(platform.tracking_uri)
