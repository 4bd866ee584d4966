"""Real servers for the tests of all rooms: object store, MLflow without and with logins, PostgreSQL; and a certificate.

Store and MLflow are those of `mnist-pipeline run`. The tests of `components` import the types that they need from here,
so that this module alone knows that the servers come from `pipelines`.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from benchmarks.reliability.certificate import make_certificate
from benchmarks.reliability.postgres import NOT_INSTALLED, postgres_programs, postgres_server
from components.common.settings import environment
from pipelines.compat.mlflow_server import server_environment
from pipelines.local.home import Home
from pipelines.local.keeper_control import end_servers
from pipelines.local.mlflow_api import call_mlflow
from pipelines.local.mlflow_server import SQLITE, mlflow_plan
from pipelines.local.platform import Platform, embedded_platform
from pipelines.local.process import Probe, ServerPlan, listening_socket
from pipelines.local.store import external_store

__all__ = ["Platform", "close_runs"]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of the session's `platform`."""
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def platform(home: Home) -> Iterator[Platform]:
    """An embedded object store and MLflow server, started once."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            for name in ("S3_ENDPOINT_URL", "MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
                environment.delenv(name, raising=False)
            running = stack.enter_context(embedded_platform(home))
        yield running
    end_servers(home)


def close_runs(tracking_uri: str) -> None:
    """Mark every run that is still RUNNING as KILLED: a test that follows must not find it."""
    experiments = call_mlflow(tracking_uri, "experiments/search", {"max_results": 1000})["experiments"]
    search = {
        "experiment_ids": [experiment["experiment_id"] for experiment in experiments],
        "filter": "attributes.status = 'RUNNING'",
        "max_results": 1000,
    }
    while runs := call_mlflow(tracking_uri, "runs/search", search).get("runs"):
        for run in runs:
            call_mlflow(tracking_uri, "runs/update", {"run_id": run["info"]["run_id"], "status": "KILLED"})


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server of the tests' own."""
    if postgres_programs() is None:
        pytest.skip(NOT_INSTALLED)
    with postgres_server() as server:
        yield server.url()


@pytest.fixture(scope="session")
def postgres_platform(
    platform: Platform, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """The same object store, with an MLflow server that keeps its history in PostgreSQL."""
    home, store = Home(tmp_path_factory.mktemp("home")), external_store(platform.environment)
    assert store
    home.prepare()
    with listening_socket() as listener:
        plan = mlflow_plan(home, store, listener, postgres.replace("postgresql", "postgresql+psycopg2"))
        with plan.start() as server:
            server.wait_until_ready(Probe(plan).is_answered)
            changed = {"MLFLOW_TRACKING_URI": plan.address}
            yield replace(platform, tracking_uri=plan.address, environment=platform.environment | changed)


# With it MLflow hashes no password again for each request.
LOGINS = """[mlflow]
default_permission = READ
database_uri = sqlite:///logins.db
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = true
auth_cache_ttl_seconds = 600
"""


@pytest.fixture(scope="session")
def mlflow_with_logins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server with basic-auth and workspaces.

    Each user has the password `NAME-password`. `reader` may read in the workspace `default`, `writer` may do all in
    `team-a`, `admin` all anywhere.
    """
    directory = tmp_path_factory.mktemp("logins")
    (directory / "auth.ini").write_text(LOGINS)
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
        variables = server_environment(environment(), database=SQLITE, artifacts=files, port=port) | given
        plan = ServerPlan(
            "MLflow with logins",
            [sys.executable, "-W", "ignore", "-m", "tests.mlflow_with_logins", str(descriptor)],
            environment=variables,
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


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key with the certificate that it signed itself, for 127.0.0.1."""
    path = tmp_path / "certificate.pem"
    path.write_bytes(make_certificate(datetime.now(UTC) + timedelta(days=1)))
    return path
