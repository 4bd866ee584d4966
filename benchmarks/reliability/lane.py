"""Servers of one's own behind fault proxies: an object store, MLflow on it, and PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.reliability.postgres import PostgresServer, postgres_programs, postgres_server
from benchmarks.reliability.proxy import FaultProxy
from pipelines.local.home import Home
from pipelines.local.home_keys import signing_variables
from pipelines.local.mlflow_server import mlflow_plan
from pipelines.local.process import Probe, Server, ServerPlan, listening_socket
from pipelines.local.store import embedded_store, swift_plan

SECRET = "of-the-fault-table"  # noqa: S105
# Of the whole process; what a benchmark's caller has set must not reach a step.
UNSET = ("MLFLOW_RUN_ID", "MLFLOW_RUN_NAME", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


@dataclass(frozen=True)
class Lane:
    """One set of servers; cells that work in different lanes know nothing of each other.

    Attributes:
        home: Directory of the servers.
        store: Proxy between everybody, MLflow too, and the object store.
        mlflow: Proxy between the steps and MLflow.
        database: Proxy in front of PostgreSQL; None where it is not installed.
        postgres: That server.
        tracking_uri: MLflow's address without the proxy.
        store_port: The store's port without the proxy.
        plans: How the servers were started, by name.
        servers: The servers, by name.
        variables: What a step finds the servers by.
    """

    home: Home
    store: FaultProxy
    mlflow: FaultProxy
    database: FaultProxy | None
    postgres: PostgresServer | None
    tracking_uri: str
    store_port: int
    plans: dict[str, ServerPlan]
    servers: dict[str, Server]
    variables: dict[str, str]


@contextmanager
def open_lane(directory: Path, *, with_postgres: bool = True) -> Iterator[Lane]:
    """Start the servers of a lane in a new directory.

    Raises:
        PipelineError: A server does not start.
    """
    home = Home(directory / "home")
    home.prepare()
    with ExitStack() as stack:
        listeners = [stack.enter_context(listening_socket()) for _ in range(2)]
        store_port, mlflow_port = (listener.getsockname()[1] for listener in listeners)
        direct = embedded_store(store_port, SECRET)
        plans = {"store": swift_plan(home, direct, listeners[0])}
        servers = {"store": stack.enter_context(plans["store"].start())}
        store = stack.enter_context(FaultProxy(store_port))
        mlflow = stack.enter_context(FaultProxy(mlflow_port))
        behind = replace(direct, endpoint_url=store.address)
        plan = mlflow_plan(home, behind, listeners[1])
        # The proxy's port is another than the server's own.
        hosts = f"127.0.0.1:{mlflow_port},127.0.0.1:{mlflow.port}"
        plans["mlflow"] = replace(
            plan, environment={**plan.environment, "MLFLOW_SERVER_ALLOWED_HOSTS": hosts}
        )
        servers["mlflow"] = stack.enter_context(plans["mlflow"].start())
        postgres = database = None
        if with_postgres and postgres_programs():
            postgres = stack.enter_context(postgres_server())
            database = stack.enter_context(FaultProxy(postgres.port, http=False))
        for name, server in servers.items():
            server.wait_until_ready(Probe(plans[name]).is_answered)
        variables = {
            **behind.environment,
            **signing_variables(home),
            **dict.fromkeys(UNSET, ""),
            "MLFLOW_TRACKING_URI": mlflow.address,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        address = plans["mlflow"].address
        yield Lane(home, store, mlflow, database, postgres, address, store_port, plans, servers, variables)
