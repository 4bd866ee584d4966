"""Real servers for the tests of all rooms: object store, MLflow without and with logins, PostgreSQL; and a certificate.

Store and MLflow are those of `mnist-pipeline run`. The tests of `components` import the types that they need from here,
so that this module alone knows that the servers come from `pipelines`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.reliability.certificate import make_certificate
from benchmarks.reliability.postgres import NOT_INSTALLED, postgres_programs, postgres_server
from pipelines.local.home import Home
from pipelines.local.keeper_control import end_servers
from pipelines.local.mlflow_api import call_mlflow
from pipelines.local.mlflow_server import mlflow_plan
from pipelines.local.platform import Platform, embedded_platform
from pipelines.local.process import Probe, listening_socket
from pipelines.local.store import external_store
from tests.mlflow_with_logins import served_with_logins

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


@pytest.fixture(scope="session")
def mlflow_with_logins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server with basic-auth and workspaces; its users are those of `served_with_logins`."""
    with served_with_logins(tmp_path_factory.mktemp("logins")) as address:
        yield address


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key with the certificate that it signed itself, for 127.0.0.1."""
    path = tmp_path / "certificate.pem"
    path.write_bytes(make_certificate(datetime.now(UTC) + timedelta(days=1)))
    return path
