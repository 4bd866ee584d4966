"""MLflow's server without the command `mlflow server`."""

import re
from collections.abc import Mapping

# Variables of MLflow are those of the user's clients, or of another server; those for the store concern this one too.
OF_OTHERS = re.compile("_?MLFLOW_(?!S3_|BOTO_|EXPERIMENTAL_S3_)")


def server_environment(
    variables: Mapping[str, str], *, database: str, artifacts: str, port: int
) -> dict[str, str]:
    """Return variables for MLflow's application, by which `mlflow server` gives it its options.

    Args:
        variables: Those to start from.
        database: SQLAlchemy URL of the database for runs and models.
        artifacts: URI of the directory for files; clients reach it through the server.
        port: Port on the loopback interface.
    """
    # MLflow 3.17.2: `mlflow server` imports MLflow, and then starts uvicorn, which imports it again. To start uvicorn
    # directly halves time and memory, but the application takes its options only from these private variables.
    return {name: value for name, value in variables.items() if not OF_OTHERS.match(name)} | {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        # Under another name a page elsewhere would be taken for one of this server.
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port},localhost:{port}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
