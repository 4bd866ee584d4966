"""Servers that start in a moment, for the tests of who keeps and shares them."""

import os
import socket
import sys
from pathlib import Path

import psutil

from pipelines.local.home import Home
from pipelines.local.keeper import KeeperState
from pipelines.local.keeper_control import Needs
from pipelines.local.ports import Ports
from pipelines.local.process import ServerPlan

NAME = "store"


SERVE = """
import http.server, socket, sys
server = http.server.ThreadingHTTPServer(("", 0), http.server.SimpleHTTPRequestHandler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.serve_forever()
"""


def trivial_plan(home: Home, listener: socket.socket, *command: str) -> dict[str, ServerPlan]:
    """Return one server of files at a listening socket, or with `command` another program in its place."""
    descriptor, port = listener.fileno(), int(listener.getsockname()[1])
    given = command or [sys.executable, "-IS", "-c", SERVE, str(descriptor)]
    plan = ServerPlan(
        "the trivial server",
        given,
        environment=dict(os.environ),
        directory=str(home.store),
        log=str(home.logs / "trivial.log"),
        listener=descriptor,
        port=port,
        probe="/",
    )
    return {NAME: plan}


def trivial_needs(home: Home, port: int, *command: str, store: str = "") -> Needs:
    """Return the need of that server, at the port where it is free."""

    def plan(ports: Ports) -> dict[str, ServerPlan]:
        return trivial_plan(home, ports.listener(NAME, port), *command)

    return Needs(frozenset({NAME}), store, plan)


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
