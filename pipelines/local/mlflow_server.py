"""The embedded MLflow tracking server: its history in SQLite, its artifacts in the object store."""

import sys
import urllib.error

from components.common.settings import environment
from pipelines.compat.mlflow_server import APPLICATION, server_variables
from pipelines.local import mlflow_api
from pipelines.local.home import Home
from pipelines.local.process import Server
from pipelines.local.store import Store

# Relative to the working directory, because a URL cannot hold every character that a path can.
DATABASE_FILE = "mlflow.db"
SQLITE = f"sqlite:///{DATABASE_FILE}"
# Prefix in the bucket.
ARTIFACTS = "mlflow"


def start_mlflow(home: Home, store: Store, port: int, database: str = SQLITE) -> Server:
    """Start the server on 127.0.0.1 without waiting for it."""
    command = [sys.executable, "-P", "-W", "ignore", "-m", "uvicorn", APPLICATION]
    options = f"--host 127.0.0.1 --port {port} --workers 1 --no-access-log --timeout-graceful-shutdown 2"
    variables = {
        **store.environment,
        **server_variables(database=database, artifacts=f"s3://{store.bucket}/{ARTIFACTS}"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return Server(
        "the MLflow server",
        [*command, *options.split()],
        environment=environment(variables),
        directory=home.mlflow,
        log_path=home.logs / "mlflow.log",
    )


def wait_for_mlflow(server: Server, tracking_uri: str) -> None:
    """Wait until the API answers; on the first start that includes creating the database.

    Raises:
        PipelineError: The server ended, or answers with an error.
    """

    def answers() -> bool:
        try:
            mlflow_api.call_mlflow(tracking_uri, "experiments/search", {"max_results": 1})
        except urllib.error.HTTPError as error:
            raise server.error(f"answers with HTTP {error.code}") from None
        except OSError:
            return False
        return True

    server.wait_until_ready(answers)
