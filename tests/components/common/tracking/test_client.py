import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.common.tracking.client import find_registered_model

ROOT = Path(__file__).parents[4]
IMPORTED = "import components.common.tracking.step, components.common.tracking.tree"
CONFIGURED = "from components.common.tracking.client import configure_mlflow; configure_mlflow()"


def variables(statement: str, **given: str) -> dict[str, str]:
    """Return the variables of MLflow in a process that was given some and ran a statement."""
    code = f"{statement}\nimport os\nfor name, value in os.environ.items(): print(name, value, sep='=')"
    inherited = {name: value for name, value in os.environ.items() if "MLFLOW" not in name}
    command = [sys.executable, "-c", code]
    printed = subprocess.run(
        command, cwd=ROOT, env={**inherited, **given}, capture_output=True, text=True, check=True
    ).stdout
    found = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    return {name: value for name, value in found.items() if name.startswith("MLFLOW")}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"DEFAULT_MLFLOW_TRACKING_URI": "http://ours"}, "http://ours"),
        ({"DEFAULT_MLFLOW_TRACKING_URI": "http://ours", "MLFLOW_TRACKING_URI": ""}, "http://ours"),
        (
            {"DEFAULT_MLFLOW_TRACKING_URI": "http://ours", "MLFLOW_TRACKING_URI": "http://injected"},
            "http://injected",
        ),
        ({}, None),
    ],
)
def test_the_injected_address_comes_first(given: dict[str, str], expected: str | None) -> None:
    assert variables(CONFIGURED, **given).get("MLFLOW_TRACKING_URI") == expected


def test_mlflows_client_gets_login_workspace_and_store_from_the_settings() -> None:
    found = variables(
        CONFIGURED,
        DEFAULT_MLFLOW_TRACKING_URI="http://u:p%40@ours",
        DEFAULT_MLFLOW_WORKSPACE="team-a",
        S3_ENDPOINT_URL="http://store:9000",
        S3_ADDRESSING_STYLE="virtual",
    )
    expected = {
        "MLFLOW_TRACKING_URI": "http://ours",
        "MLFLOW_TRACKING_USERNAME": "u",
        "MLFLOW_TRACKING_PASSWORD": "p@",
        "MLFLOW_WORKSPACE": "team-a",
        "MLFLOW_S3_ENDPOINT_URL": "http://store:9000",
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "virtual",
    }
    assert expected.items() <= found.items()


def test_a_variable_that_is_set_stays() -> None:
    found = variables(CONFIGURED, MLFLOW_HTTP_REQUEST_TIMEOUT="7")
    assert found["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert found["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"


def test_a_registered_model_that_is_missing_is_none_where_the_server_would_deny_it(
    mlflow_with_logins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "writer")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "writer-password")
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
    client = MlflowClient(mlflow_with_logins)
    assert find_registered_model(client, "not-yet") is None
    with pytest.raises(MlflowException, match="403"):
        client.get_registered_model("not-yet")
    client.create_registered_model("not-yet")
    found = find_registered_model(client, "not-yet")
    assert found is not None
    assert found.name == "not-yet"


def test_an_import_sets_no_variable() -> None:
    assert variables(IMPORTED) == {}
