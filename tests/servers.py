"""Real servers for the tests of all rooms: object store, MLflow and PostgreSQL; and a certificate.

They are those of `mnist-pipeline run`. The tests of `components` import the types that they need from here, so that
this module alone knows that the servers come from `pipelines`.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pipelines.local.home import Home
from pipelines.local.keeper_control import end_servers
from pipelines.local.mlflow_api import call_mlflow
from pipelines.local.mlflow_server import mlflow_plan
from pipelines.local.platform import Platform, embedded_platform
from pipelines.local.process import free_port
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
    """URL of a PostgreSQL server of the tests' own; Debian's package keeps initdb and postgres off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found and not shutil.which("initdb"):
        pytest.skip("PostgreSQL is not installed")
    bin_ = found[-1] if found else Path(str(shutil.which("initdb"))).parent
    # PostgreSQL refuses to run as root.
    account: list[str | Path] = (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    )
    port = free_port(0)
    with tempfile.TemporaryDirectory() as directory:
        if account:
            shutil.chown(directory, "postgres", "postgres")
        data = Path(directory, "data")
        subprocess.run(
            [*account, bin_ / "initdb", "-D", data, "-U", "tune", "-A", "trust", "--no-sync"],
            check=True,
            capture_output=True,
        )
        options = f"-p {port} -k {directory} -c fsync=off -c listen_addresses=127.0.0.1"
        control = [*account, bin_ / "pg_ctl", "-D", data, "-w"]
        subprocess.run(
            [*control, "-o", options, "-l", Path(directory, "log"), "start"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        try:
            yield f"postgresql://tune@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def postgres_platform(
    platform: Platform, postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """The same object store, with an MLflow server that keeps its history in PostgreSQL."""
    home, store = Home(tmp_path_factory.mktemp("home")), external_store(platform.environment)
    assert store
    home.prepare()
    plan = mlflow_plan(home, store, free_port(), postgres.replace("postgresql", "postgresql+psycopg2"))
    with plan.start() as server:
        server.wait_until_ready(plan.answers)
        changed = {"MLFLOW_TRACKING_URI": plan.address}
        yield replace(platform, tracking_uri=plan.address, environment=platform.environment | changed)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key with the certificate that it signed itself, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = (
        builder.not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return path
