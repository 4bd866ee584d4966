import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from components.common.data.spec import MNIST_SPEC
from components.common.model.exchange import ONNX_FILE
from components.register.publish import publish
from components.register.steer import promote
from pipelines.cli.predict import loaded
from pipelines.cli.serve import newer_version
from pipelines.local.platform import Platform
from pipelines.models import following
from pipelines.models.following import Follower
from pipelines.models.serve import ModelServer
from tests.linear_models import save_candidate
from tests.pipelines.models.serving import listening
from tests.records import lineage

if TYPE_CHECKING:
    from mlflow import MlflowClient

CLIENTS = 8
IMAGES = np.random.default_rng(0).integers(0, 256, (2, *MNIST_SPEC.shape), dtype=np.uint8)


@pytest.fixture
def mlflow_client(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> "MlflowClient":
    """A client of the session's server, which the environment names."""
    from mlflow import MlflowClient

    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    return MlflowClient()


@pytest.fixture
def name(mlflow_client: "MlflowClient", tmp_path: Path) -> str:
    """A registered model with three versions that answer differently; the last is the champion."""
    name = f"followed-{uuid.uuid4().hex}"
    for version in range(1, 4):
        directory = tmp_path / str(version)
        directory.mkdir()
        save_candidate(directory, MNIST_SPEC, steepness=version)
        before = str(version - 1) if version > 1 else None
        records = lineage(name, f"run-{version}", champion_version=before)
        publish(directory, records, run_id=mlflow_client.create_run("0").info.run_id)
    return name


def damage(client: "MlflowClient", platform: Platform, name: str, version: str) -> None:
    """Change a byte of a version's ONNX file in the store."""
    model = client.get_logged_model(client.get_model_version(name, version).source.removeprefix("models:/"))
    key = f"mlflow/{model.experiment_id}/models/{model.model_id}/artifacts/{ONNX_FILE}"
    s3 = boto3.Session().client("s3", endpoint_url=platform.s3_endpoint_url, region_name="us-east-1")
    content = bytearray(s3.get_object(Bucket=platform.bucket, Key=key)["Body"].read())
    content[100] ^= 1
    s3.put_object(Bucket=platform.bucket, Key=key, Body=bytes(content))


def ask_until(ended: threading.Event, address: str) -> list[tuple[str, NDArray[np.float64]]]:
    """Ask again and again; return the version and the probabilities of each answer."""
    found = []
    body = {"inputs": IMAGES.tolist()}
    with requests.Session() as session:
        while not ended.is_set():
            answer = session.post(f"{address}/invocations", json=body, timeout=60)
            assert answer.status_code == 200
            found.append((answer.headers["X-Model-Version"], np.array(answer.json()["predictions"])))
    return found


def test_under_eight_clients_a_swap_drops_no_request_and_only_verified_versions_answer(
    mlflow_client: "MlflowClient",
    platform: Platform,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home, told = tmp_path / "home", list[str]()
    monkeypatch.setattr(following, "say", lambda _, line: told.append(line))

    def move(version: str) -> None:
        mlflow_client.set_registered_model_alias(name, "champion", version)

    move("1")
    with loaded(None, home, name, "champion", allow_unsigned=False) as served:
        server = ModelServer(served)
    expected = {"1": served.classifier.probabilities(IMAGES)}
    follower = Follower(server, lambda now: newer_version(home, "champion", False, now), 60)
    ended = threading.Event()
    with listening(server) as address, ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask_until, ended, address) for _ in range(CLIENTS)]
        try:
            follower.look()
            assert server.served.version == "1"
            promote(mlflow_client, name, "2", who="a test", why="")
            follower.look()
            expected["2"] = server.served.classifier.probabilities(IMAGES)
            damage(mlflow_client, platform, name, "3")
            move("3")
            follower.look()
            follower.look()
            assert "follow_failing 1" in requests.get(f"{address}/metrics", timeout=60).text
            assert requests.get(f"{address}/readyz", timeout=60).text == f"{name} version 2\n"
            move("1")
            follower.look()
            assert "follow_failing 0" in requests.get(f"{address}/metrics", timeout=60).text
        finally:
            ended.set()
        answers = [answer for client in clients for answer in client.result()]
    assert {version for version, _ in answers} == {"1", "2"}
    assert server.served.version == "1"
    for version, probabilities in answers:
        np.testing.assert_allclose(probabilities, expected[version], atol=1e-6)
    swapped, refused, back = told
    assert swapped == f"{name} version 2 answers in place of {name} version 1"
    # Once, though it was seen twice.
    assert refused.startswith(
        f"{name} version 2 answers on: {name} version 3 must be what was registered but"
    )
    assert back == f"{name} version 1 answers in place of {name} version 2"


def test_an_unexpected_error_does_not_end_the_following() -> None:
    model: Any = SimpleNamespace(about="a version 1", classifier=SimpleNamespace(spec=MNIST_SPEC))
    server = ModelServer(model)

    def unknown(_: Any) -> Any:
        raise KeyError("odd")

    Follower(server, unknown, 60).look()
    assert server.follow_problem == "'odd'"
