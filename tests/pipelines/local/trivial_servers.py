"""Servers that start in a moment, for the tests of who keeps and shares them."""

import os
import sys
from pathlib import Path

import psutil

from pipelines.local.home import Home
from pipelines.local.keeper import KeeperState
from pipelines.local.keeper_control import Needs
from pipelines.local.process import ServerPlan, free_port

NAME = "store"


def trivial_plan(home: Home, port: int, *command: str) -> dict[str, ServerPlan]:
    """Return one server of files at a port, or with `command` another program in its place."""
    serve = [sys.executable, "-IS", "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    log = str(home.logs / "trivial.log")
    given = command or serve
    return {NAME: ServerPlan("the trivial server", given, dict(os.environ), str(home.store), log, port, "/")}


def trivial_needs(home: Home, port: int, *command: str, store: str = "") -> Needs:
    """Return the need of that server, at the port where it is free."""
    return Needs(frozenset({NAME}), store, lambda: trivial_plan(home, free_port(port), *command))


def server_process(state: KeeperState) -> psutil.Process:
    """Return the process of the server below keeper and supervisor."""
    return psutil.Process(state.pid).children(recursive=True)[-1]


def client_script(home: Path, port: int) -> str:
    """Return a program that joins, prints the keeper's process and waits."""
    return f"""
import pathlib, time
from pipelines.local import keeper_control
from pipelines.local.clients import registered_client
from pipelines.local.home import Home
from pipelines.local.keeper_control import kept_servers
from tests.pipelines.local.trivial_servers import trivial_needs
keeper_control.LINGER_SECONDS = 0.3
home = Home(pathlib.Path({str(home)!r}))
with registered_client(home) as client, kept_servers(client, trivial_needs(home, {port})) as (state, _):
    print(state.pid, flush=True)
    time.sleep(300)
"""
