"""The process that keeps the servers of a home for all its clients.

Run as a module, `python -m pipelines.local.keeper HOME KEEPER_LOCK SERVERS_LOCK`, with a `KeeperPlan` as JSON on stdin
and two locked files by their descriptors. The first says that the keeper lives, the second that a server does. It
imports nothing heavy, so that the servers start at once.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import get_origin, get_type_hints

from components.common.errors import PipelineError, StatedError
from components.common.storage.files import written_file
from pipelines.local.clients import ClientRecord, forget_client, scan_clients
from pipelines.local.home import Home
from pipelines.local.ports import shared_ports
from pipelines.local.process import START_SECONDS, Probe, Server, ServerPlan

LINGER_SECONDS = 15.0
POLL_SECONDS = 0.25
STARTING_POLL_SECONDS = 0.03
MLFLOW, STORE = "mlflow", "store"


@dataclass(frozen=True)
class KeeperState:
    """What a keeper says about itself in `keeper/state.json`.

    Attributes:
        pid: Its process; 0 until it runs.
        since: Local time of its start, in ISO format.
        code: Digest of the code that it runs.
        store: Digest of the object store that the environment named at its start; "" for the embedded one.
        addresses: Addresses of its servers, by name.
        ready: Names of the servers that answer.
        ending: Whether it ends, or has ended, in order.
        error: The error that it ended with.
    """

    pid: int
    since: str
    code: str
    store: str
    addresses: dict[str, str]
    ready: list[str]
    ending: bool = False
    error: str = ""

    def save(self, home: Home) -> None:
        """Replace the file."""
        with written_file(home.keeper / "state.json") as partial:
            partial.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, home: Home) -> "KeeperState | None":
        """Read the file, None where no keeper was ever started, and where a keeper has yet to mend it."""
        try:
            given = json.loads((home.keeper / "state.json").read_bytes())
            # A keeper of other code may say more.
            known = {name: given[name] for name in get_type_hints(cls)}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        kinds = {name: get_origin(hint) or hint for name, hint in get_type_hints(cls).items()}
        return cls(**known) if all(isinstance(known[name], kinds[name]) for name in kinds) else None


@dataclass(frozen=True)
class KeeperPlan:
    """What a keeper is started with.

    Attributes:
        code: Digest of the code.
        store: Digest of the object store that the environment names; "" for the embedded one.
        servers: The servers, by name.
        linger: Seconds from the last client's end to the servers' end.
    """

    code: str
    store: str
    servers: dict[str, ServerPlan]
    linger: float = LINGER_SECONDS

    def starting(self) -> KeeperState:
        """Return the state of a keeper that is about to start."""
        now = datetime.now().isoformat(timespec="seconds")
        addresses = {name: plan.address for name, plan in self.servers.items()}
        return KeeperState(0, now, self.code, self.store, addresses, [])

    @classmethod
    def parse(cls, text: str) -> "KeeperPlan":
        """Read what `json.dumps(asdict(plan))` wrote."""
        given = json.loads(text)
        servers = {name: ServerPlan(**plan) for name, plan in given["servers"].items()}
        return cls(**{**given, "servers": servers})


class Keeper:
    """Servers that are started together, started again when they die, and stopped when nobody uses them.

    Args:
        home: The home.
        plan: The servers.
        close_run: Closes the pipeline run of a dead client, given the address of MLflow and the run's name.
        held: Locks that last until the servers have ended.
    """

    def __init__(
        self,
        home: Home,
        plan: KeeperPlan,
        close_run: Callable[[str, str], None],
        held: Sequence[int] = (),
    ) -> None:
        self._home, self._plan, self._close_run, self._held = home, plan, close_run, held
        self._state = replace(plan.starting(), pid=os.getpid())
        self._servers: dict[str, Server] = {}
        self._probes: dict[str, Probe] = {}
        self._started: dict[str, float] = {}
        self._used, self._changed = time.monotonic(), 0

    def keep(self) -> None:
        """Keep the servers until nobody has used them for a while.

        Raises:
            PipelineError: A server does not start.
            OSError: The home is gone.
        """
        try:
            self._save()
            for name in self._plan.servers:
                self._start(name)
            with shared_ports(self._home, {name: plan.listener for name, plan in self._plan.servers.items()}):
                while not self._is_over():
                    self._revive()
                    self._probe()
                    time.sleep(STARTING_POLL_SECONDS if self._is_starting() else POLL_SECONDS)
        except PipelineError as error:
            self._save(error=str(error))
            raise
        finally:
            with contextlib.suppress(OSError):
                self._save(ending=True)
            with contextlib.ExitStack() as servers:
                for server in self._servers.values():
                    servers.push(server)

    def _save(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]
        self._state.save(self._home)

    def _start(self, name: str) -> None:
        again = name in self._servers
        self._servers[name] = self._plan.servers[name].start(go_on=again, held=self._held)
        self._probes[name] = Probe(self._plan.servers[name])
        self._started[name] = time.monotonic()

    def _revive(self) -> None:
        """Start again what was ready and has ended."""
        for name, server in self._servers.items():
            if (status := server.poll()) is None:
                continue
            if name not in self._state.ready:
                raise server.error("ended while starting")
            say_when(f"{server.name} ended with status {status} and is started again")
            self._save(ready=[other for other in self._state.ready if other != name])
            self._start(name)

    def _probe(self) -> None:
        for name, plan in self._plan.servers.items():
            if name in self._state.ready:
                continue
            if self._probes[name].is_answered():
                say_when(f"{plan.name} is ready at {plan.address}")
                self._save(ready=[*self._state.ready, name])
            elif time.monotonic() - self._started[name] > START_SECONDS:
                raise self._servers[name].error(f"was not ready within {START_SECONDS:.0f} s")

    def _is_starting(self) -> bool:
        return len(self._state.ready) < len(self._servers)

    def _is_over(self) -> bool:
        """Return whether nobody has used the servers for a while; close the runs of clients that died."""
        with self._home.mutex():
            if KeeperState.load(self._home) != self._state:
                say_when("what the keeper says about itself was damaged and is written again")
                self._save()
            living, dead = scan_clients(self._home)
            changed = self._home.clients.stat().st_mtime_ns
            kept = self._home.kept_until_down.exists() or self._is_starting()
            if living or kept or changed != self._changed:
                self._used, self._changed = time.monotonic(), changed
            elif time.monotonic() - self._used > self._plan.linger:
                say_when("nobody uses the servers")
                self._save(ending=True)
                return True
        for client in dead:
            self._bury(client)
        return False

    def _bury(self, client: ClientRecord) -> None:
        if MLFLOW not in self._state.ready:
            return
        try:
            self._close_run(self._state.addresses[MLFLOW], str(client.run))
        except StatedError as error:
            say_when(f"{client.described()} died, and is not closed yet: {error}")
            return
        say_when(f"{client.described()} died, and is closed")
        with self._home.mutex():
            forget_client(self._home, client.number)


def say_when(what: str) -> None:
    """Print a line with the time; a full disk, which leaves no room for the log, must not end the servers."""
    with contextlib.suppress(OSError):
        print(datetime.now().isoformat(" ", "seconds"), what, flush=True)


@contextlib.contextmanager
def _told_by_sigterm() -> Iterator[None]:
    """Leave the block on SIGTERM."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say_when("told to end")
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    with contextlib.suppress(SystemExit):
        yield


def main(home: str, _keeper_lock: str, servers_lock: str) -> int:
    """Keep the servers of a home; the process that was started returns at once, and its child goes on."""
    plan = KeeperPlan.parse(sys.stdin.read())
    if os.fork():
        return 0

    def close_run(tracking_uri: str, name: str) -> None:
        from pipelines.local.mlflow_api import close_run_named

        close_run_named(tracking_uri, name)

    with _told_by_sigterm():
        try:
            Keeper(Home(Path(home)), plan, close_run, held=[int(servers_lock)]).keep()
        except (PipelineError, OSError) as error:
            say_when(f"error: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
