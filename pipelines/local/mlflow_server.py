"""The embedded MLflow tracking server: its history in SQLite, its artifacts in the object store."""

import sys
import urllib.error

from components.common.settings import environment
from pipelines.local import mlflow_api
from pipelines.local.home import Home
from pipelines.local.process import Server
from pipelines.local.store import Store

# In the working directory: valid whatever characters the path has.
SQLITE = "sqlite:///mlflow.db"


def start_mlflow(home: Home, store: Store, port: int, database: str = SQLITE) -> Server:
    """Start the server on 127.0.0.1 without waiting for it.

    It is the process that ``mlflow server`` starts after it has imported all of MLflow itself, which doubles
    the time and the memory. The variables are those by which that command hands its options down.
    """
    command = [sys.executable, "-P", "-W", "ignore", "-m", "uvicorn", "mlflow.server.fastapi_app:app"]
    options = f"--host 127.0.0.1 --port {port} --workers 1 --no-access-log --timeout-graceful-shutdown 2"
    options_by_variable = {
        "_MLFLOW_SERVER_FILE_STORE": database,
        "_MLFLOW_SERVER_REGISTRY_STORE": database,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"s3://{store.bucket}/mlflow",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return Server(
        "the MLflow server",
        [*command, *options.split()],
        environment=environment({**store.environment, **options_by_variable}),
        directory=home.mlflow,
        log_path=home.logs / "mlflow.log",
    )


def wait_for_mlflow(server: Server, tracking_uri: str) -> None:
    """Wait until the API answers; on the first start that includes creating the database.

    Raises:
        PipelineError: the server ended, or answers with an error.
    """

    def answers() -> bool:
        try:
            mlflow_api.call(tracking_uri, "experiments/search", {"max_results": 1})
        except urllib.error.HTTPError as error:
            raise server.error(f"answers with HTTP {error.code}") from None
        except OSError:
            return False
        return True

    server.wait_until_ready(answers)
