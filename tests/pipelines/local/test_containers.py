from pathlib import Path
from typing import Any

import pytest

from components.common.errors import PipelineError
from components.common.settings import VARIABLES
from pipelines.local.containers import PASSED, check_engine, docker_runner

# Of the image, of a pod on Kubernetes, of the engine, or of commands that are no steps.
NOT_OF_A_LOCAL_STEP = (
    "DEFAULT_MLFLOW_",
    "DOCKER_HOST",
    "GIT_SHA",
    "KF",
    "KUBERNETES_",
    "LOCK_DIGEST",
    "SERVE_TOKEN",
    "STEP_",
)


def test_no_engine_is_one_line_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(PipelineError, match=r"none answers at unix://.*none\.sock .*start dockerd") as raised:
        check_engine("mnist-pipeline:3f2a")
    assert "\n" not in str(raised.value)


def options(data: str, **environment: str) -> dict[str, Any]:
    arguments: dict[str, Any] = docker_runner("digits-fast", data, environment).container_run_args
    return arguments


def test_steps_get_their_settings_and_credentials_by_value_and_nothing_else() -> None:
    passed = {
        "AWS_ACCESS_KEY_ID": "key",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5001",
        "S3_ENDPOINT_URL": "http://127.0.0.1:9000",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "no_proxy": "127.0.0.1",
        "https_proxy": "http://proxy:8888",
        "HTTP_PROXY": "http://proxy:8888",
        "REQUESTS_CA_BUNDLE": "/etc/own.crt",
    }
    kept = {
        "AWS_CONFIG_FILE": "/root/config",
        "AWS_PROFILE": "mine",
        "GIT_SHA": "of the host",
        "HOME": "/root",
    }
    assert options("digits", **passed, **kept)["environment"] == passed


def test_every_setting_of_a_step_is_passed() -> None:
    assert [name for name in VARIABLES if not name.upper().startswith((*PASSED, *NOT_OF_A_LOCAL_STEP))] == []


def test_containers_are_confined() -> None:
    given = options("digits")
    assert given["read_only"] is True
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges"]
    assert given["mounts"] == []


def test_only_what_the_steps_need_of_this_machine_is_mounted(tmp_path: Path) -> None:
    given = options(
        str(tmp_path / "data"),
        CHECKPOINT_DIR=str(tmp_path / "checkpoints"),
        OPTUNA_STORAGE=str(tmp_path / "optuna" / "journal.log"),
        AWS_CA_BUNDLE=str(tmp_path / "own.crt"),
        MLFLOW_TRACKING_SERVER_CERT_PATH=str(tmp_path / "own.crt"),
        SSL_CERT_FILE=str(tmp_path / "mail.crt"),
        MODEL_SIGNING_KEY=str(tmp_path / "own.key"),
        MODEL_PUBLIC_KEYS="-----BEGIN PUBLIC KEY-----\n...",
    )
    mounts = {Path(mount["Target"]).name: mount["ReadOnly"] for mount in given["mounts"]}
    read = dict.fromkeys(["data", "own.crt", "mail.crt", "own.key"], True)
    assert mounts == {**read, "checkpoints": False, "optuna": False}
    assert len(given["mounts"]) == len(mounts)
    assert (tmp_path / "checkpoints").is_dir()
    assert (tmp_path / "optuna").is_dir()


def test_a_study_in_a_database_needs_no_mount() -> None:
    assert (
        options("s3://bucket/data.npz", OPTUNA_STORAGE="postgresql://optuna@postgres/optuna")["mounts"] == []
    )


def test_checkpoints_in_a_store_need_no_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert options("digits", CHECKPOINT_DIR="s3://bucket/checkpoints")["mounts"] == []
    assert list(tmp_path.iterdir()) == []
