"""The embedded MLflow tracking server: its history in SQLite, its artifacts in the object store."""

import sys

from components.common.settings import environment
from pipelines.compat.mlflow_server import APPLICATION, server_variables
from pipelines.local.home import Home
from pipelines.local.process import ServerPlan
from pipelines.local.store import Store

# Relative to the working directory, because a URL cannot hold every character that a path can.
DATABASE_FILE = "mlflow.db"
SQLITE = f"sqlite:///{DATABASE_FILE}"
# Prefix in the bucket.
ARTIFACTS = "mlflow"


def mlflow_plan(home: Home, store: Store, port: int, database: str = SQLITE) -> ServerPlan:
    """Return how to start the server; it is ready when its API answers, for which it has made its database."""
    command = [sys.executable, "-P", "-W", "ignore", "-m", "uvicorn", APPLICATION]
    options = f"--host 127.0.0.1 --port {port} --workers 1 --no-access-log --timeout-graceful-shutdown 2"
    variables = {
        **store.environment,
        **server_variables(database=database, artifacts=f"s3://{store.bucket}/{ARTIFACTS}"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return ServerPlan(
        "the MLflow server",
        [*command, *options.split()],
        environment=environment(variables),
        directory=str(home.mlflow),
        log=str(home.logs / "mlflow.log"),
        port=port,
        probe="/api/2.0/mlflow/experiments/search?max_results=1",
    )
