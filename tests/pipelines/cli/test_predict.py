"""The commands on a registered version, from the outside; the servers are the session's."""

import csv
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import numpy as np
import pytest
import requests
from typer.testing import CliRunner

from components.common.data.picture import PICTURE_SUFFIXES
from components.common.data.request_log import read_requests
from components.common.data.spec import MNIST_SPEC
from components.common.model.lineage import Lineage
from components.common.model.training_record import Training
from components.common.storage.object_store import ObjectStore
from components.ingest.collect import collect_data
from components.preprocess.prepare import prepare_splits
from components.register.package import sample_images
from components.register.publish import publish
from pipelines.cli.main import app
from pipelines.local.home import Home
from pipelines.local.platform import Platform
from pipelines.local.process import accepts_connections, free_port
from tests.forks import ForkedPython, forked_command
from tests.linear_models import save_candidate
from tests.pipelines.models.drawings import handwritten, landscape
from tests.records import judgement, lineage, run_plan

ROOT = Path(__file__).parents[3]
NAME = "used-from-outside"


TRAINED = "trained-on-digits"

TRAIN = """
import sys
from pathlib import Path
from components.common.data.dataset import open_split
from components.common.model.classifier import Classifier
from components.common.plan.training import TrainConfig
from components.evaluate.exchange import write_exchange
from components.train.fit import fit_model
config = TrainConfig(filters=((8,),), dense_units=32, epochs=4, learning_rate=0.003)
fit_model(Path(sys.argv[1]), config, recipe="seed", target=Path(sys.argv[2]), on_epoch=lambda _: None)
images = open_split(Path(sys.argv[1]), "validation").images
assert not write_exchange(Path(sys.argv[2]), Classifier(Path(sys.argv[2])), images).problem
"""


def _command(*arguments: str, model: str = NAME) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "pipelines.cli.main", *arguments, "--model", model]


def _run(*arguments: str, model: str = NAME) -> subprocess.CompletedProcess[str]:
    command = _command(*arguments, model=model)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def on_postgres(postgres_platform: Platform) -> Iterator[Platform]:
    """MLflow on PostgreSQL, as the environment names it."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in postgres_platform.environment.items():
            environment.setenv(name, value)
        yield postgres_platform


@pytest.fixture(scope="module")
def trained(on_postgres: Platform, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """What version 1 and champion of the model `TRAINED` was registered from, with its lineage."""
    from mlflow import MlflowClient

    del on_postgres
    directory = tmp_path_factory.mktemp("trained")
    plan, development = (
        run_plan("trained", dataset="digits", data="digits", model_name=TRAINED),
        directory / "development",
    )
    collect_data(plan.data, directory / "raw")
    prepare_splits(directory / "raw", plan.data, development=development, test=directory / "test")
    # In a process of its own: this one may have started TensorFlow with other settings.
    ForkedPython(TRAIN, development, directory / "model").output()
    training = Training.load(directory / "model")
    records = Lineage(plan, judgement(training=training, reject_below=0.1))
    publish(directory / "model", records, run_id=MlflowClient().create_run("0").info.run_id)
    return training


@pytest.fixture
def no_named_store(on_postgres: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow as the environment names it, without a word about the store."""
    for name in on_postgres.environment:
        if name.startswith(("S3_", "AWS_")):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_named_store")
def test_a_version_is_reproduced_from_a_server_of_ones_own_and_the_embedded_store(
    trained: Training, home: Home
) -> None:
    reproduced = forked_command("reproduce", "champion", "--home", home.path, "--model", TRAINED)
    assert reproduced.returncode == 0, reproduced.stderr
    assert reproduced.stdout.splitlines()[-1] == f"identical: weights digest {trained.weights_digest}"


@pytest.mark.usefixtures("trained", "no_named_store")
def test_an_export_is_compared_on_the_data_in_the_embedded_store(home: Home, tmp_path: Path) -> None:
    given = ("--format", "onnx", "-o", tmp_path / "export", "--home", home.path, "--model", TRAINED)
    exported = forked_command("export", "champion", *given)
    assert exported.returncode == 0, exported.stderr
    assert re.match(r"on \d+ validation images: accuracy ", exported.stdout.splitlines()[-1])


def test_pictures_below_a_prefix_of_the_object_store_are_read_by_the_version_that_is_named(
    on_postgres: Platform, trained: Training
) -> None:
    del trained
    store, _ = ObjectStore.for_uri(f"s3://{on_postgres.bucket}/scans")
    with TemporaryDirectory() as scratch:
        for name, picture in {
            "seven.png": handwritten(7, size=200, width=20, corner=(60, 60), inverted=False),
            "lake.png": landscape(),
        }.items():
            picture.save(Path(scratch, name))
            store.upload(Path(scratch, name), f"scans/{name}")
        Path(scratch, "notes.txt").write_text("no picture")
        store.upload(Path(scratch, "notes.txt"), "scans/notes.txt")
    prefix = f"s3://{on_postgres.bucket}/scans"

    found = _run("predict", prefix, "--version", "1", "--format", "csv", model=TRAINED)

    assert found.returncode == 0, found.stderr
    lake, seven = csv.DictReader(found.stdout.splitlines())
    assert (lake["image"], lake["label"]) == (f"{prefix}/lake.png", "")
    assert "no even background" in lake["refused"]
    assert (seven["image"], seven["rejected"], seven["refused"]) == (f"{prefix}/seven.png", "false", "")
    assert sum(float(seven[f"p:{digit}"]) for digit in range(10)) == pytest.approx(1, abs=1e-4)

    empty = _run("predict", f"{prefix}-none", model=TRAINED)
    assert empty.returncode == 1
    assert empty.stderr.splitlines()[-1] == (
        f"error: {prefix}-none must be or hold {', '.join(sorted(PICTURE_SUFFIXES))} or .npy files but there are none: "
        "give another path."
    )


def test_a_prefix_of_the_embedded_store_is_read_where_no_setting_names_it(
    on_postgres: Platform, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seven, prefix = tmp_path / "seven.png", f"s3://{on_postgres.bucket}/embedded-scans"
    handwritten(7, size=200, width=20, corner=(60, 60), inverted=False).save(seven)
    store, key = ObjectStore.for_uri(f"{prefix}/seven.png")
    store.upload(seven, key)
    save_candidate(tmp_path / "model", MNIST_SPEC)
    for name in on_postgres.environment:
        monkeypatch.delenv(name)

    given = ("--directory", tmp_path / "model", "--allow-unsigned", "--home", home.path, "--format", "csv")
    found = forked_command("predict", prefix, *given)

    assert found.returncode == 0, found.stderr
    (row,) = csv.DictReader(found.stdout.splitlines())
    assert (row["image"], row["refused"]) == (f"{prefix}/seven.png", "")


def test_the_champion_is_served_and_its_requests_are_logged_until_the_server_is_stopped(
    on_postgres: Platform, trained: Training, tmp_path: Path
) -> None:
    del trained
    images = sample_images(tmp_path, MNIST_SPEC)
    port, started = free_port(), time.time()
    log = f"s3://{on_postgres.bucket}/served/requests"
    options = ("--port", str(port), "--follow", "champion", "--log-requests", log, "--sample", "1")
    server = subprocess.Popen(
        _command("serve", *options, model=TRAINED), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        address = f"http://127.0.0.1:{port}"
        announced = server.stdout.readline().strip()
        assert announced == f"serving {TRAINED} version 1 at {address}; Ctrl-C to stop"
        deadline = time.monotonic() + 60
        while not accepts_connections(port):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        answer = requests.post(f"{address}/invocations", json={"inputs": images.tolist()}, timeout=60)
        predicted = np.array(answer.json()["predictions"]).argmax(axis=1)
        assert (predicted == np.arange(10)).sum() >= 8
        refused = requests.post(
            f"{address}/invocations", json={"inputs": (images / 255).tolist()}, timeout=60
        )
        assert (refused.status_code, list(refused.json())) == (400, ["error"])
        assert len(refused.text) < 300
        about = requests.get(f"{address}/model", timeout=60).json()
        assert (about["name"], about["reject_below"]) == (f"{TRAINED} version 1", 0.1)
        libraries = Path(f"/proc/{server.pid}/maps").read_text()
        assert "onnxruntime" in libraries
        assert "tensorflow" not in libraries
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        assert server.stdout.read().endswith(f"logged 10 images at {log}; 0 more were not\n")
    finally:
        server.kill()
        server.wait()
    store, prefix = ObjectStore.for_uri(log)
    found = read_requests(store, prefix, started, time.time())
    assert found is not None
    assert found.ids.tolist() == [f"{answer.headers['X-Request-Id']}-{place}" for place in range(10)]
    np.testing.assert_allclose(found.probabilities, answer.json()["predictions"], atol=1e-6)
    np.testing.assert_array_equal(found.images, images.reshape(found.images.shape))
    assert set(found.versions) == {"1"}


@pytest.mark.parametrize("options", [("--version", "3"), ("--directory", ".")])
def test_what_is_followed_is_an_alias_of_the_registry(options: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["serve", "--follow", "champion", *options])
    assert "--follow champion must stand alone" in str(done.exception)


def test_a_sound_champion_is_verified_and_serve_refuses_one_with_a_flipped_byte(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    save_candidate(tmp_path, MNIST_SPEC)
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    publish(tmp_path, lineage(NAME, "run"), run_id=run_id)

    verified = CliRunner().invoke(app, ["models", "verify", "champion", "--model", NAME])
    assert verified.exit_code == 0, verified.output
    assert verified.stdout.startswith(f"{NAME} version 1 is what was registered: ")

    model = client.get_logged_model(client.get_model_version(NAME, "1").source.removeprefix("models:/"))
    key = f"mlflow/{model.experiment_id}/models/{model.model_id}/artifacts/onnx/model.onnx"
    # A session of its own: the default one keeps the key that an earlier test had in the environment.
    s3 = boto3.Session().client("s3", endpoint_url=platform.s3_endpoint_url, region_name="us-east-1")
    content = bytearray(s3.get_object(Bucket=platform.bucket, Key=key)["Body"].read())
    content[100] ^= 1
    s3.put_object(Bucket=platform.bucket, Key=key, Body=bytes(content))

    refused = _run("serve", "--port", "0")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(
        f"error: {NAME} version 1 must be what was registered but onnx/model.onnx is changed since"
    )
    assert refused.stdout == ""


@pytest.mark.parametrize(
    ("host", "token", "warned"),
    [
        ("127.0.0.1", "", None),
        ("localhost", "", None),
        ("::1", "", None),
        ("0.0.0.0", "", "has no TLS, nor a token: set SERVE_TOKEN\n"),  # noqa: S104
        ("machine.example.org", "secret", "has no TLS\n"),
    ],
)
def test_serve_warns_where_other_machines_can_reach_it(
    host: str, token: str, warned: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_candidate(tmp_path, MNIST_SPEC)
    for name in ("MODEL_PUBLIC_KEYS", "MODEL_SIGNING_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SERVE_TOKEN", token)
    monkeypatch.setattr("pipelines.models.connections.listen", lambda *_: None)
    done = CliRunner().invoke(app, ["serve", "--directory", str(tmp_path), "--host", host])
    assert done.exit_code == 0
    assert done.stderr == (
        f"warning: other machines can reach {host}, and the server {warned}" if warned else ""
    )
