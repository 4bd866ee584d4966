import pytest
from mlflow import environment_variables
from mlflow.server import constants

from components.common.storage.s3 import client_variables
from pipelines.compat.mlflow_server import server_environment


def test_the_variables_are_those_of_this_mlflow_and_still_private() -> None:
    expected = {
        constants.BACKEND_STORE_URI_ENV_VAR: "sqlite:///mlflow.db",
        constants.REGISTRY_STORE_URI_ENV_VAR: "sqlite:///mlflow.db",
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: "s3://bucket/mlflow",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    found = server_environment({}, database="sqlite:///mlflow.db", artifacts="s3://bucket/mlflow", port=5001)
    assert expected.items() <= found.items()
    assert all(name.startswith("_") for name in expected)
    assert found.keys() - expected.keys() == {
        environment_variables.MLFLOW_SERVER_ALLOWED_HOSTS.name,
        environment_variables.MLFLOW_SERVER_ENABLE_JOB_EXECUTION.name,
        "MLFLOW_DISABLE_TELEMETRY",
    }


def test_the_users_variables_do_not_open_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of another server, and of the user's clients, are not this server's; those for the store are."""
    users = {
        environment_variables.MLFLOW_SERVER_ALLOWED_HOSTS.name: "*",
        environment_variables.MLFLOW_SERVER_CORS_ALLOWED_ORIGINS.name: "*",
        environment_variables.MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE.name: "true",
        environment_variables.MLFLOW_ENABLE_REMOTE_ASSISTANT.name: "true",
        "_MLFLOW_STATIC_PREFIX": "/mlflow",
    }
    monkeypatch.setenv("S3_ADDRESSING_STYLE", "path")
    monkeypatch.setenv("S3_SIGNATURE_VERSION", "s3")
    kept = {"PATH": "/bin", **client_variables("http://store")}
    assert len(kept) == 6
    found = server_environment(users | kept, database="d", artifacts="a", port=5001)
    assert found == server_environment(kept, database="d", artifacts="a", port=5001)
    assert kept.items() <= found.items()
    assert found["MLFLOW_SERVER_ALLOWED_HOSTS"] == "127.0.0.1:5001,localhost:5001"
