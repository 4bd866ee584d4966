"""The embedded MLflow tracking server: its history in SQLite, its artifacts in the object store."""

import socket
import sys

from components.common.settings import environment
from pipelines.compat.mlflow_server import server_environment
from pipelines.local.home import Home
from pipelines.local.process import ServerPlan
from pipelines.local.store import Store

# Relative to the working directory, because a URL cannot hold every character that a path can.
DATABASE_FILE = "mlflow.db"
SQLITE = f"sqlite:///{DATABASE_FILE}"
# Prefix in the bucket.
ARTIFACTS = "mlflow"


def mlflow_plan(home: Home, store: Store, listener: socket.socket, database: str = SQLITE) -> ServerPlan:
    """Return how to start the server; it is ready when its API answers, for which it has made its database."""
    port = listener.getsockname()[1]
    variables = server_environment(
        environment(store.environment),
        database=database,
        artifacts=f"s3://{store.bucket}/{ARTIFACTS}",
        port=port,
    )
    return ServerPlan(
        "the MLflow server",
        [
            sys.executable,
            "-P",
            "-W",
            "ignore",
            "-m",
            "pipelines.local.mlflow_process",
            str(listener.fileno()),
        ],
        environment=variables,
        directory=str(home.mlflow),
        log=str(home.logs / "mlflow.log"),
        listener=listener.fileno(),
        port=port,
        probe="/api/2.0/mlflow/experiments/search?max_results=1",
    )
