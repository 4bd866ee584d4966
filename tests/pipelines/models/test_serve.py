import asyncio
import base64
import contextlib
import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import keras
import numpy as np
import psutil
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image

from components.common import bounds
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.model.classifier import Classifier
from components.common.model.runtime import RuntimeClassifier
from components.common.model.training_record import MODEL_FILE
from pipelines.models import bodies, connections, parsing, serve
from pipelines.models.connections import BoundedProtocol
from pipelines.models.serve import LONGEST_ERROR, ModelServer
from pipelines.models.served import Served
from tests.linear_models import BINARY, save_candidate
from tests.pipelines.models.drawings import handwritten
from tests.pipelines.models.serving import listening, serving
from tests.records import COLOUR

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A model of before, which takes grey images without the channel."""
    directory = tmp_path_factory.mktemp("served")
    layers = [keras.Input((28, 28), dtype="uint8"), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    keras.Sequential(layers).save(directory / MODEL_FILE)
    return Classifier(directory)


@pytest.fixture(scope="module")
def server(classifier: Classifier) -> Iterator[str]:
    with serving(classifier) as address:
        yield address


def _post(server: str, body: str, kind: str = "application/json") -> requests.Response:
    return requests.post(f"{server}/invocations", body, headers={"Content-Type": kind}, timeout=30)


def _show(server: str, picture: Image.Image | bytes, path: str = "classify") -> requests.Response:
    if isinstance(picture, Image.Image):
        content = io.BytesIO()
        picture.save(content, "PNG")
        picture = content.getvalue()
    return requests.post(f"{server}/{path}", picture, headers={"Content-Type": "image/png"}, timeout=30)


@pytest.mark.parametrize("spec", [MNIST_SPEC, COLOUR, BINARY], ids=["mnist", "colour", "binary"])
def test_a_model_is_served_by_its_own_sizes(spec: ImageSpec, tmp_path: Path) -> None:
    split = save_candidate(tmp_path, spec)
    size = f"images must be N x {spec.size} whole numbers but are "
    with serving(RuntimeClassifier(tmp_path)) as server:
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
        about = requests.get(f"{server}/model", timeout=30).json()
        assert about == {
            "name": "blobs version 7",
            "images": list(spec.shape),
            "classes": list(spec.classes),
            "pictures": spec.pictures,
            "reject_below": 0.5,
        }


def test_grey_images_with_the_channel_are_taken_by_a_model_of_before(server: str) -> None:
    without = _post(server, json.dumps({"inputs": IMAGES.tolist()}))
    assert without.status_code == 200
    assert _post(server, json.dumps({"inputs": IMAGES[..., None].tolist()})).json() == without.json()


@pytest.mark.parametrize(
    "wrapped",
    [
        {"inputs": IMAGES.tolist()},
        {"instances": IMAGES.tolist()},
        {"inputs": {"image": IMAGES.tolist()}},
        {"instances": [{"image": image} for image in IMAGES.tolist()]},
    ],
)
def test_the_server_returns_the_probabilities_of_uint8_images(
    server: str, classifier: Classifier, wrapped: dict[str, Any]
) -> None:
    answer = _post(server, json.dumps(wrapped), "application/json; charset=utf-8")
    assert answer.status_code == 200
    expected = classifier.probabilities(IMAGES)
    np.testing.assert_allclose(answer.json()["predictions"], expected, atol=1e-6)


@pytest.mark.parametrize("path", ["ping", "health", "healthz", "readyz", "version"])
def test_the_server_says_that_it_is_there(server: str, path: str) -> None:
    answer = requests.get(f"{server}/{path}", timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert path != "version" or answer.text.startswith("mnist-pipeline ")
    assert path != "readyz" or answer.text == "blobs version 7\n"


def test_each_answer_has_an_id_and_a_version_and_is_counted_and_logged(classifier: Classifier) -> None:
    logger = Mock(chosen=3, kept=2, dropped=1)
    server = ModelServer(Served(classifier, 1.5, "blobs", "7"), logger)
    with listening(server) as address:
        body = json.dumps({"inputs": IMAGES.tolist()})
        named = requests.post(
            f"{address}/invocations",
            body,
            headers={"Content-Type": "application/json", "X-Request-Id": "trace.1-a"},
            timeout=30,
        )
        others = [_post(address, body) for _ in range(2)]
        odd = requests.get(f"{address}/model", headers={"X-Request-Id": "a b"}, timeout=30)
        _post(address, "no JSON")
        _show(address, Image.new("L", (50, 50), "white"))
        metrics = requests.get(f"{address}/metrics", timeout=30)
    ids = [answer.headers["X-Request-Id"] for answer in (named, *others, odd)]
    assert ids[0] == "trace.1-a"
    assert len(set(ids)) == 4
    assert "a b" not in ids
    assert {answer.headers["X-Model-Version"] for answer in (named, *others, odd)} == {"7"}
    logged = [call.args for call in logger.add.call_args_list]
    assert [call[0] for call in logged] == ids[:3]
    np.testing.assert_array_equal(logged[0][2], IMAGES[..., None])
    np.testing.assert_allclose(logged[0][3], named.json()["predictions"])
    lines = metrics.text.splitlines()
    assert 'mnist_pipeline_requests_total{path="/invocations",status="200"} 3' in lines
    assert 'mnist_pipeline_requests_total{path="/invocations",status="400"} 1' in lines
    assert 'mnist_pipeline_answer_confidence_count{version="7"} 9' in lines
    assert 'mnist_pipeline_unsure_answers_total{version="7"} 9' in lines
    assert 'mnist_pipeline_refused_pictures_total{version="7"} 1' in lines
    assert 'mnist_pipeline_logged_images_total{outcome="dropped"} 1' in lines
    assert any(line.startswith('mnist_pipeline_model_info{model="blobs",version="7",') for line in lines)
    assert "mnist_pipeline_requests_in_work 0" in lines


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("no JSON", "the body must be JSON"),
        ("[" * 100_000, "the body must be JSON"),
        ('{"inputs": [[[NaN]]]}', "but are 1 x 1 x 1 of fractions"),
        (f'{{"inputs": [[[{"9" * 9999}]]]}}', "the body must be JSON"),
        (f'{{"inputs": [[[{"9" * 400}]]]}}', "but are 1 x 1 x 1 of whole numbers"),
        ("[1]", 'a JSON object with "inputs"'),
        ("{}", 'a JSON object with "inputs"'),
        (json.dumps({"dataframe_records": [{"image": 1}]}), 'a JSON object with "inputs"'),
        (json.dumps({"inputs": (IMAGES / 255).tolist()}), "but are 3 x 28 x 28 of fractions"),
        (json.dumps({"inputs": (IMAGES > 99).tolist()}), "but are 3 x 28 x 28 of true and false"),
        (json.dumps({"inputs": IMAGES[:, :14].tolist()}), "but are 3 x 14 x 28 of whole numbers"),
        (json.dumps({"inputs": IMAGES[0].tolist()}), "but are 28 x 28 of whole numbers"),
        (json.dumps({"inputs": []}), "but are 0 of nothing"),
        (json.dumps({"inputs": (IMAGES.astype(int) + 100).tolist()}), "pixels must be 0 to 255 but are "),
        (json.dumps({"inputs": (IMAGES.astype(int) - 1).tolist()}), "pixels must be 0 to 255 but are -1 to "),
        (json.dumps({"inputs": [[1, 2], [3]]}), "the lists differ in length"),
        (json.dumps({"inputs": [[1, 2], 3]}), "the lists differ in length"),
        (json.dumps({"inputs": "many"}), "but are a single value of something else"),
        (json.dumps({"inputs": {"picture": IMAGES.tolist()}}), 'the inputs must be "image" alone'),
        (json.dumps({"inputs": {"image": IMAGES.tolist(), "more": [1]}}), 'the inputs must be "image" alone'),
        (json.dumps({"instances": [{"image": IMAGES[0].tolist()}, {}]}), "but are 2 of something else"),
        (json.dumps({"inputs": IMAGES.tolist(), "instances": [2]}), 'a JSON object with "inputs"'),
    ],
)
def test_a_bad_request_gets_one_short_error(server: str, body: str, message: str) -> None:
    answer = _post(server, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert message in error
    assert 0 < len(error) <= LONGEST_ERROR
    assert "\n" not in error


def test_other_content_is_refused(server: str) -> None:
    answer = _post(server, "1,2", "text/csv")
    assert answer.status_code == 400
    assert answer.json() == {"error": "Content-Type must be application/json but is text/csv."}
    answer = requests.post(f"{server}/classify", b"1", timeout=30)
    assert answer.status_code == 400
    assert answer.json() == {"error": "Content-Type must be image/png or another picture's but is missing."}
    assert requests.get(f"{server}/invocations", timeout=30).status_code == 405
    assert requests.get(f"{server}/elsewhere", timeout=30).json() == {"error": "Not Found"}


def test_a_picture_is_named(tmp_path: Path) -> None:
    split = save_candidate(tmp_path, COLOUR)
    for reject_below, unsure in ((0.0, False), (1.0, True)):
        with serving(RuntimeClassifier(tmp_path), reject_below) as server:
            for image, label in zip(split.images, split.labels, strict=True):
                answer = _show(server, Image.fromarray(image)).json()
                name = COLOUR.classes[label]
                assert (answer["label"], answer["unsure"]) == (name, unsure)
                assert answer["probability"] == answer["probabilities"][name]
                assert list(answer["probabilities"]) == list(COLOUR.classes)
                assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_a_picture_is_prepared_as_predict_does_it(tmp_path: Path) -> None:
    save_candidate(tmp_path, MNIST_SPEC)
    with serving(RuntimeClassifier(tmp_path)) as server:
        blank = _show(server, Image.new("L", (50, 50), "white"))
        assert blank.status_code == 200
        assert blank.json() == {"label": None, "refused": "it is blank: nothing on it stands out"}
        dark, bright = (
            handwritten(7, size=200, width=20, corner=(60, 60), inverted=inverted)
            for inverted in (False, True)
        )
        answer = _show(server, dark).json()
        assert answer["label"] in MNIST_SPEC.classes
        assert answer == _show(server, bright).json()
        explained = _show(server, dark, "explain").json()
    assert answer == {key: explained[key] for key in answer}
    image = Image.open(io.BytesIO(base64.b64decode(explained["image"].partition(",")[2])))
    assert image.size == (28, 28)
    support = np.array(explained["support"])
    assert support.shape == (14, 14)
    assert support.max() == 1
    assert explained["remaining"] < explained["probability"]


def test_what_is_no_picture_is_a_bad_request(server: str) -> None:
    answer = _show(server, b"no picture")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(
        "the picture must be a PNG, JPEG, BMP, WebP, TIFF, GIF, PGM or PPM picture but"
    )
    huge = io.BytesIO()
    Image.new("1", (5000, 5000)).save(huge, "PNG")
    answer = _show(server, huge.getvalue())
    assert answer.status_code == 400
    assert f"at most {bounds.MOST_PICTURE_PIXELS:,}" in answer.json()["error"]


def test_a_body_is_bounded(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGEST_REQUEST", 1000)
    whole = _show(server, b"x" * 1001)
    pieces = requests.post(
        f"{server}/classify", iter([b"x" * 600] * 2), headers={"Content-Type": "image/png"}, timeout=30
    )
    for answer in (whole, pieces):
        assert answer.status_code == 413
        assert answer.json() == {"error": "the body must be at most 1,000 bytes but is larger."}
    monkeypatch.setattr(bodies, "LARGEST_REQUESTS", 500)
    busy = _show(server, b"x" * 501)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    # What was refused is not held.
    assert _show(server, b"x" * 500).status_code == 400


def test_a_body_that_does_not_come_is_not_waited_for(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import http.client

    monkeypatch.setattr(bodies, "RECEIVE_SECONDS", 0.05)
    connection = http.client.HTTPConnection(server.removeprefix("http://"), timeout=30)
    connection.request(
        "POST", "/invocations", headers={"Content-Type": "application/json", "Content-Length": "9"}
    )
    answer = connection.getresponse()
    assert answer.status == 408
    assert json.loads(answer.read()) == {"error": "the body must arrive within 0.05 seconds."}
    connection.close()


def test_the_body_of_an_answer_does_not_wait_for_its_head_to_be_acknowledged(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    immediate: list[bool] = []
    made = BoundedProtocol.connection_made

    def noted(protocol: BoundedProtocol, transport: asyncio.Transport) -> None:
        made(protocol, transport)
        connection = transport.get_extra_info("socket")
        immediate.append(bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))

    monkeypatch.setattr(BoundedProtocol, "connection_made", noted)
    assert requests.get(f"{server}/ping", timeout=30).status_code == 200
    assert immediate == [True]


def test_clients_that_send_nothing_or_too_little_are_cut(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    address = ("127.0.0.1", int(server.rpartition(":")[2]))
    for sent in (b"", b"GET /ping HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"):
        with socket.create_connection(address, timeout=30) as client:
            client.sendall(sent)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := client.recv(1000):
                    answer += part
            assert answer.startswith(b"HTTP/1.1 200" if sent.endswith(b"\r\n\r\n") else b"")
            assert bool(answer) == sent.endswith(b"\r\n\r\n")


def test_a_client_that_does_not_take_the_answer_is_cut(
    server: str, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    leave = threading.Event()
    monkeypatch.setattr(classifier, "probabilities", lambda images: leave.wait(30) and images)
    with pytest.raises(requests.ConnectionError):
        _post(server, json.dumps({"inputs": IMAGES.tolist()}))
    leave.set()


def test_too_many_clients_are_refused_at_once_and_the_others_are_answered(
    server: str, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "MOST_REQUESTS", 1)
    busy, leave = threading.Event(), threading.Event()
    answer = classifier.probabilities

    def slow(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        busy.set()
        leave.wait(30)
        return answer(images)

    monkeypatch.setattr(classifier, "probabilities", slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(_post, server, json.dumps({"inputs": IMAGES.tolist()}))
        assert busy.wait(30)
        second = _post(server, json.dumps({"inputs": IMAGES.tolist()}))
        assert (second.status_code, second.headers["retry-after"]) == (503, "1")
        assert requests.get(f"{server}/health", timeout=30).status_code == 200
        monkeypatch.setattr(connections, "MOST_CONNECTIONS", 1)
        third = requests.get(f"{server}/health", timeout=30)
        assert (third.status_code, third.headers["retry-after"]) == (503, "1")
        assert third.json() == {"error": "the server is busy"}
        leave.set()
        assert first.result().status_code == 200


def test_a_large_body_is_parsed_elsewhere(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = _post(server, json.dumps({"inputs": IMAGES.tolist()}))
    others = psutil.Process().children()
    monkeypatch.setattr(parsing, "SMALL", 10)
    assert _post(server, json.dumps({"inputs": IMAGES.tolist()})).json() == small.json()
    assert "must be JSON" in _post(server, "[" * 100_000).json()["error"]
    started = [child for child in psutil.Process().children() if child not in others]
    (parser,) = [child for child in started if "spawn_main" in " ".join(child.cmdline())]
    parser.kill()
    parser.wait()
    assert _post(server, json.dumps({"inputs": IMAGES.tolist()})).status_code in {200, 500}
    assert _post(server, json.dumps({"inputs": IMAGES.tolist()})).json() == small.json()


def test_a_token_is_asked_for(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_TOKEN", "secret")
    with serving(classifier) as server:
        for path, status in {"model": 401, "metrics": 401, "health": 200, "readyz": 200, "": 200}.items():
            assert requests.get(f"{server}/{path}", timeout=30).status_code == status
        for token, status in {"secret": 200, "secre": 401, "s\xe9cret": 401}.items():
            given = {"Authorization": f"Bearer {token}".encode("latin-1")}
            assert requests.get(f"{server}/model", headers=given, timeout=30).status_code == status
        refused = _post(server, json.dumps({"inputs": IMAGES.tolist()}))
        assert refused.json() == {"error": "the server needs its token: send Authorization: Bearer TOKEN."}


def test_an_error_of_the_model_is_the_servers(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "probabilities", lambda _: 1 / 0)
    with serving(classifier) as server:
        answer = _post(server, json.dumps({"inputs": IMAGES.tolist()}))
    assert answer.status_code == 500
    assert answer.json() == {"error": "the server failed: its log says more."}


def test_the_server_needs_neither_tensorflow_nor_mlflow() -> None:
    code = "import sys, pipelines.models.serve; print({'tensorflow', 'keras', 'mlflow'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
