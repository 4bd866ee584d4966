"""The commands on a registered version, from the outside; the servers are the session's."""

import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from components.common.trained_model import MODEL_FILE
from components.register.register import register
from components.train.config import TrainConfig
from components.train.model import build_model
from pipelines.local.platform import Platform

ROOT = Path(__file__).parents[2]
NAME = "used-from-outside"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "pipelines.cli", *arguments, "--model", NAME]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_sound_champion_is_used_and_a_flipped_byte_stops_serve_before_it_listens(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    build_model(TrainConfig(filters=((1,),), dense_units=1)).save(tmp_path / MODEL_FILE)
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    register(tmp_path, NAME, run_id, "run", None, "", {"dataset": "made up"})

    verified = _run("models", "verify", "champion")
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.startswith(f"{NAME} version 1 is what was registered: ")

    model = client.get_logged_model(client.get_model_version(NAME, "1").source.removeprefix("models:/"))
    key = f"mlflow/{model.experiment_id}/models/{model.model_id}/artifacts/data/model.keras"
    s3 = boto3.client("s3", endpoint_url=platform.s3_endpoint_url, region_name="us-east-1")
    content = bytearray(s3.get_object(Bucket=platform.bucket, Key=key)["Body"].read())
    content[100] ^= 1
    s3.put_object(Bucket=platform.bucket, Key=key, Body=bytes(content))

    refused = _run("serve", "--port", "0")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(
        f"error: {NAME} version 1 must be what was registered but data/model.keras is changed since"
    )
    assert refused.stdout == ""
