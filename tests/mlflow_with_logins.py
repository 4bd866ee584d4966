"""MLflow's server with its basic-auth application and workspaces.

Flask-WTF, which MLflow takes for the page of a browser on which users sign up, is replaced: no client asks that page.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import requests
import uvicorn

from components.common.settings import environment
from pipelines.compat.mlflow_server import server_environment
from pipelines.local.mlflow_server import SQLITE
from pipelines.local.process import Probe, ServerPlan, listening_socket

# With the cache MLflow does not hash a password again for each request.
SETTINGS = """[mlflow]
default_permission = READ
database_uri = sqlite:///logins.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = true
auth_cache_ttl_seconds = 600
"""


@contextmanager
def served_with_logins(directory: Path) -> Iterator[str]:
    """Run the server, and yield its address.

    Each user has the password `NAME-password`. `reader` may read in the workspace `default`, `writer` may do all in
    `team-a`, `admin` all anywhere.

    Args:
        directory: An empty one.
    """
    (directory / "auth.ini").write_text(SETTINGS)
    given = {
        "MLFLOW_AUTH_CONFIG_PATH": str(directory / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": "admin-password",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for sessions of browsers",
        "MLFLOW_ENABLE_WORKSPACES": "true",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    with listening_socket() as listener:
        port, descriptor = listener.getsockname()[1], listener.fileno()
        files = str(directory / "files")
        plan = ServerPlan(
            "MLflow with logins",
            [sys.executable, "-W", "ignore", "-m", "tests.mlflow_with_logins", str(descriptor)],
            environment=server_environment(environment(), database=SQLITE, artifacts=files, port=port)
            | given,
            directory=str(directory),
            log=str(directory / "log"),
            listener=descriptor,
            port=port,
            probe="/health",
        )
        with plan.start() as server:
            server.wait_until_ready(Probe(plan).is_answered)
            _create_users(plan.address)
            yield plan.address


def _create_users(address: str) -> None:
    def post(method: str, **payload: object) -> dict[str, Any]:
        answer = requests.post(
            f"{address}/api/{method}", json=payload, auth=("admin", "admin-password"), timeout=60
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    for name in ("reader", "writer"):
        post("2.0/mlflow/users/create", username=name, password=f"{name}-password")
    post("3.0/mlflow/workspaces", name="team-a")
    role = post("3.0/mlflow/roles/create", name="writers", workspace="team-a")["role"]["id"]
    everything = {"resource_type": "workspace", "resource_pattern": "*", "permission": "MANAGE"}
    post("3.0/mlflow/roles/permissions/add", role_id=role, **everything)
    post("3.0/mlflow/roles/assign", role_id=role, username="writer")


class CSRFProtect:
    """Protects nothing."""

    def init_app(self, _: Any) -> None:
        """Leave the application as it is."""


def main(descriptor: int) -> None:
    """Serve on a listening socket until SIGTERM."""
    replaced = ModuleType("flask_wtf.csrf")
    vars(replaced)["CSRFProtect"] = CSRFProtect
    sys.modules |= {"flask_wtf": ModuleType("flask_wtf"), replaced.__name__: replaced}
    uvicorn.run("mlflow.server.auth:create_app", factory=True, fd=descriptor, lifespan="off")


if __name__ == "__main__":
    main(int(sys.argv[1]))
