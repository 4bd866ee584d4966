import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import requests
import uvicorn

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.model.classifier import Classifier
from components.common.model.training_record import MODEL_FILE
from components.register.package import package
from pipelines.local.process import free_port
from pipelines.models.serve import LONGEST_ERROR, load_app
from tests.linear_models import BINARY, save_candidate
from tests.records import COLOUR

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)


def _pack(directory: Path) -> Path:
    logged: Any = SimpleNamespace(artifact_location="s3://bucket/model", model_id="m-1")
    package(directory, directory / "packed", logged, "run")
    return directory / "packed"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of before, which takes grey images without the channel."""
    directory = tmp_path_factory.mktemp("served")
    layers = [keras.Input((28, 28), dtype="uint8"), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    keras.Sequential(layers).save(directory / MODEL_FILE)
    return _pack(directory)


@pytest.fixture(scope="module")
def server(packed: Path) -> Iterator[str]:
    with _serving(packed) as address:
        yield address


@contextmanager
def _serving(packed: Path) -> Iterator[str]:
    """Yield the address of a server, which runs in a thread."""
    port = free_port(0)
    running = uvicorn.Server(uvicorn.Config(load_app(packed), port=port, log_level="warning"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join()


def _post(server: str, body: str, kind: str = "application/json") -> requests.Response:
    return requests.post(f"{server}/invocations", body, headers={"Content-Type": kind}, timeout=30)


@pytest.mark.parametrize("spec", [MNIST_SPEC, COLOUR, BINARY], ids=["mnist", "colour", "binary"])
def test_a_model_is_served_by_its_own_sizes(spec: ImageSpec, tmp_path: Path) -> None:
    split = save_candidate(tmp_path, spec)
    size = f"images must be N x {spec.size} whole numbers but are "
    with _serving(_pack(tmp_path)) as server:
        answer = _post(server, json.dumps({"inputs": split.images.tolist()}))
        assert np.array(answer.json()["predictions"]).argmax(axis=1).tolist() == split.labels.tolist()
        bare = _post(server, json.dumps({"inputs": split.images[..., 0].tolist()}))
        if spec.channels == 1:
            assert bare.json() == answer.json()
        else:
            assert bare.status_code == 400
            assert bare.json()["error"].startswith(size)
        narrow = _post(server, json.dumps({"inputs": split.images[:, :5].tolist()}))
        assert narrow.status_code == 400
        assert narrow.json()["error"].startswith(f"{size}{len(split.images)} x 5 x ")


def test_grey_images_with_the_channel_are_taken_by_a_model_of_before(server: str) -> None:
    without = _post(server, json.dumps({"inputs": IMAGES.tolist()}))
    assert without.status_code == 200
    assert _post(server, json.dumps({"inputs": IMAGES[..., None].tolist()})).json() == without.json()


@pytest.mark.parametrize("wrapped", [{"inputs": IMAGES.tolist()}, {"inputs": {"image": IMAGES.tolist()}}])
def test_the_server_returns_the_probabilities_of_uint8_images(
    server: str, packed: Path, wrapped: dict[str, Any]
) -> None:
    answer = _post(server, json.dumps(wrapped))
    assert answer.status_code == 200
    expected = Classifier(packed).probabilities(IMAGES)
    np.testing.assert_allclose(answer.json()["predictions"], expected, atol=1e-6)
    assert requests.get(f"{server}/health", timeout=30).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("no JSON", "the body must be JSON"),
        ("[1]", 'a JSON object with "inputs"'),
        ("{}", 'a JSON object with "inputs"'),
        (json.dumps({"inputs": (IMAGES / 255).tolist()}), "but are 3 x 28 x 28 of fractions"),
        (json.dumps({"inputs": IMAGES[:, :14].tolist()}), "but are 3 x 14 x 28 of whole numbers"),
        (json.dumps({"inputs": IMAGES[0].tolist()}), "but are 28 x 28 of whole numbers"),
        (json.dumps({"inputs": (IMAGES.astype(int) + 100).tolist()}), "pixels must be 0 to 255 but are "),
        (json.dumps({"inputs": [[1, 2], [3]]}), "the lists differ in length"),
        (json.dumps({"inputs": "many"}), "but are a single value of something else"),
        (json.dumps({"inputs": {"picture": IMAGES.tolist()}}), "but are a single value of something else"),
        (json.dumps({"inputs": {"image": IMAGES.tolist(), "more": [1]}, "instances": [2]}), ""),
    ],
)
def test_a_bad_request_gets_one_short_error(server: str, body: str, message: str) -> None:
    answer = _post(server, body)
    assert 400 <= answer.status_code < 500
    error = answer.json()["error"]
    assert message in error
    assert 0 < len(error) <= LONGEST_ERROR
    assert "\n" not in error


def test_other_content_is_refused(server: str) -> None:
    answer = _post(server, "1,2", "text/csv")
    assert answer.status_code == 400
    assert answer.json() == {"error": "Content-Type must be application/json but is text/csv."}
