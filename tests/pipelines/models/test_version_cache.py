import json
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import Mock

import boto3
import numpy as np
import pytest
from typer.testing import CliRunner

from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.exchange import ONNX_FILE
from components.common.model.signing import make_signing_key
from components.common.model.stored_version import fetch_version
from components.register.publish import publish
from pipelines.cli.main import app
from pipelines.local.home import Home
from pipelines.local.platform import Platform
from pipelines.models import version_cache
from pipelines.models.version_cache import open_version
from tests.linear_models import save_candidate
from tests.pipelines.models.conftest import MODEL
from tests.records import lineage

if TYPE_CHECKING:
    from mlflow import MlflowClient

IMAGES = np.random.default_rng(0).integers(0, 256, (5, *MNIST_SPEC.shape), dtype=np.uint8)


@pytest.fixture(scope="module")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("candidate")
    save_candidate(directory, MNIST_SPEC)
    return directory


@pytest.fixture
def mlflow_client(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> "MlflowClient":
    """A client of the session's server, which the environment names."""
    from mlflow import MlflowClient

    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    return MlflowClient()


@pytest.fixture
def name(mlflow_client: "MlflowClient", candidate: Path) -> str:
    """A registered model with one version."""
    name = f"kept-{uuid.uuid4().hex}"
    publish(candidate, lineage(name, "run"), run_id=mlflow_client.create_run("0").info.run_id)
    return name


def _kept(home: Path) -> list[Path]:
    return sorted(Home(home).models.iterdir())


def test_a_version_is_fetched_once_and_fetched_again_when_the_kept_file_has_changed(
    name: str, candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_version(tmp_path, name, "champion")
    assert (found.name, found.version) == (name, "1")
    assert found.classifier
    expected = Classifier(candidate).probabilities(IMAGES)
    np.testing.assert_allclose(found.classifier.probabilities(IMAGES), expected, atol=1e-6)
    [kept] = _kept(tmp_path)

    fetch = Mock(wraps=version_cache._keep)
    monkeypatch.setattr(version_cache, "_keep", fetch)
    open_version(tmp_path, name, "1")
    assert not fetch.called

    content = (kept / ONNX_FILE).read_bytes()
    (kept / ONNX_FILE).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    open_version(tmp_path, name, "v1")
    assert fetch.call_count == 1
    assert (kept / ONNX_FILE).read_bytes() == content


def test_nobody_else_can_replace_what_is_kept(name: str, tmp_path: Path) -> None:
    home, shared = tmp_path / "home", tmp_path / "shared"
    open_version(home, name, "1")
    # As an earlier version left it.
    Home(home).models.chmod(0o775)
    open_version(home, name, "1")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home, Home(home).models)] == [0o700, 0o700]

    (shared / "project").mkdir(parents=True)
    shared.chmod(0o775)
    with pytest.raises(PipelineError, match="a home among other files must not be open for writing"):
        open_version(shared, name, "1")
    assert not Home(shared).models.exists()


def test_a_changed_object_is_refused_and_not_kept(
    mlflow_client: "MlflowClient", name: str, platform: Platform, tmp_path: Path
) -> None:
    source = mlflow_client.get_model_version(name, "1").source.removeprefix("models:/")
    experiment = mlflow_client.get_logged_model(source).experiment_id
    key = f"mlflow/{experiment}/models/{source}/artifacts/{ONNX_FILE}"
    s3_client = boto3.Session().client("s3", endpoint_url=platform.s3_endpoint_url, region_name="us-east-1")
    content = s3_client.get_object(Bucket=platform.bucket, Key=key)["Body"].read()
    s3_client.put_object(Bucket=platform.bucket, Key=key, Body=content + b"!")
    with pytest.raises(
        PipelineError, match=r"version 1 must be what was registered but onnx/model\.onnx is changed"
    ):
        open_version(tmp_path, name, "1")
    assert not _kept(tmp_path)


def _withdraw_the_key(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_signing_key(scratch / "private.pem", scratch / "public.pem")
    monkeypatch.delenv("MODEL_SIGNING_KEY")
    monkeypatch.setenv("MODEL_PUBLIC_KEYS", str(scratch / "public.pem"))


def test_what_is_kept_is_not_used_after_the_key_that_signed_it_was_withdrawn(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_version(tmp_path / "home", name, "1")
    _withdraw_the_key(tmp_path, monkeypatch)
    with pytest.raises(
        PipelineError, match=f"{name} version 1 must be signed by a trusted key but it is signed by"
    ):
        open_version(tmp_path / "home", name, "1")
    found = open_version(tmp_path / "home", name, "1", allow_unsigned=True)
    assert found.classifier
    with pytest.raises(PipelineError, match="must be signed by a trusted key"):
        open_version(tmp_path / "home", name, "1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tags: json.dumps({**json.loads(tags["model_files"]), ONNX_FILE.as_posix(): "0" * 64}),
            "must be what was registered but its tag model_files is not what was signed",
        ),
        (lambda _: "[", "the tag 'model_files' of .* must be as it was registered but is not"),
    ],
)
def test_digests_that_somebody_changed_are_told(
    mlflow_client: "MlflowClient",
    name: str,
    change: Callable[[dict[str, str]], str],
    message: str,
    tmp_path: Path,
) -> None:
    forged = change(mlflow_client.get_model_version(name, "1").tags)
    mlflow_client.set_model_version_tag(name, "1", "model_files", forged)
    with pytest.raises(PipelineError, match=message):
        open_version(tmp_path, name, "1")


def test_files_in_a_directory_must_be_signed_where_the_settings_name_keys(
    mlflow_client: "MlflowClient", name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, run = tmp_path / "version", ["predict", str(tmp_path / "images.npy"), "--directory"]
    np.save(tmp_path / "images.npy", IMAGES)
    fetch_version(mlflow_client, name, "1", directory)

    def error() -> str:
        return str(CliRunner().invoke(app, [*run, str(directory)]).exception or "")

    assert not error()
    (directory / "added.py").write_text("")
    assert "version must hold what was signed but added.py is added since" in error()
    (directory / "added.py").unlink()
    (directory / "model.sig").unlink()
    assert "version must be signed by a trusted key but it is not signed" in error()
    monkeypatch.delenv("MODEL_PUBLIC_KEYS")
    assert not error()


def test_the_least_recently_used_are_removed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_cache, "MOST_KEPT", 2)
    for old in ("a", "b"):
        (Home(tmp_path).models / old).mkdir(parents=True)
    open_version(tmp_path, name, "1")
    assert len(_kept(tmp_path)) == 2


def test_a_version_without_an_onnx_file_has_no_classifier(
    mlflow_client: "MlflowClient", run_id: str, tmp_path: Path
) -> None:
    del mlflow_client, run_id
    assert open_version(tmp_path, MODEL, "1").classifier is None


def test_predict_needs_no_tensorflow(name: str, candidate: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    program = """
import sys
sys.modules.update(dict.fromkeys(["tensorflow", "keras", "mlflow", "boto3", "scipy", "sklearn", "onnx"]))
from pipelines.cli.main import main
main()
"""
    arguments = [
        "predict",
        tmp_path / "images.npy",
        "--format",
        "csv",
        "--model",
        name,
        "--home",
        tmp_path / "home",
    ]
    command = [sys.executable, "-c", program, *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stderr == ""
    found = [line.split(",")[4:] for line in answer.stdout.splitlines()[1:]]
    np.testing.assert_allclose(np.array(found, float), Classifier(candidate).probabilities(IMAGES), atol=2e-6)
