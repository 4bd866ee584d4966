"""MLflow's server without the command `mlflow server`."""

APPLICATION = "mlflow.server.fastapi_app:app"


def server_variables(*, database: str, artifacts: str) -> dict[str, str]:
    """Return the variables by which `mlflow server` gives its options to the application.

    Args:
        database: SQLAlchemy URL of the database for runs and models.
        artifacts: URI of the directory for files; clients reach it through the server.
    """
    # MLflow 3.17.2: `mlflow server` imports MLflow, and then starts uvicorn, which imports it again. To start uvicorn
    # directly halves time and memory, but the application takes its options only from these private variables.
    return {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
