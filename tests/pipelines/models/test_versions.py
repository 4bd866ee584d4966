"""The registry as commands open it; its users are those of `tests.mlflow_with_logins`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from components.common.errors import PipelineError
from components.common.settings import kept_environment
from pipelines.local.home import Home
from pipelines.local.platform import Platform
from pipelines.models.versions import open_registry


@pytest.fixture(autouse=True)
def no_named_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Name no server; what a command sets is unset at the end."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_WORKSPACE", "S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with kept_environment():
        yield


def test_what_a_server_of_ones_own_refuses_is_told_in_one_line(
    mlflow_with_logins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests.post(
        f"{mlflow_with_logins}/api/2.0/mlflow/registered-models/create",
        json={"name": "of-others"},
        auth=("admin", "admin-password"),
        timeout=60,
    ).raise_for_status()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_with_logins)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "reader-password")

    with pytest.raises(PipelineError) as refused, open_registry(tmp_path) as client:
        client.set_registered_model_alias("of-others", "champion", "1")

    message = str(refused.value)
    assert message.startswith(f"this needs MLflow at {mlflow_with_logins} but ")
    assert "403" in message
    assert message.endswith(": start that server, or correct what it refuses.")


def test_what_the_embedded_server_refuses_is_told_in_one_line(home: Home, platform: Platform) -> None:
    with pytest.raises(PipelineError) as refused, open_registry(home.path) as client:
        client.get_registered_model("nobody-made-it")

    message = str(refused.value)
    assert message.startswith(f"this needs MLflow at {platform.tracking_uri} but RESOURCE_DOES_NOT_EXIST: ")
    assert message.endswith(": start that server, or correct what it refuses.")
