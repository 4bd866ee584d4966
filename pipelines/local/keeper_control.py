"""The keeper of a home as its clients see it: they start it, wait for it, watch it and end it."""

import fcntl
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from components.common.errors import PipelineError
from components.common.provenance import lock_digest
from components.common.settings import environment
from pipelines.local.clients import Client, ClientRecord, scan_clients, try_lock
from pipelines.local.guard import owners_are_known
from pipelines.local.home import Home, open_lock
from pipelines.local.keeper import LINGER_SECONDS, KeeperPlan, KeeperState
from pipelines.local.ports import Ports
from pipelines.local.process import START_SECONDS, ServerPlan

POLL_SECONDS = 0.03
WATCH_SECONDS = 0.5
STARTS = 3
# Longer than a keeper gives its servers to start.
WAIT_SECONDS = 2 * START_SECONDS
# What versions without a keeper, which locked the same file, say of who holds it.
HOLDER = "the keeper of its servers (`mnist-pipeline down` ends it)"
KNOW_SECONDS = 10.0
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Needs:
    """What a client needs of a keeper.

    Attributes:
        servers: Names of the servers that it uses.
        store: Digest of the object store that the environment names; "" for the embedded one.
        plan: Makes the plans of all servers on given ports, where a keeper is to be started.
    """

    servers: frozenset[str]
    store: str
    plan: Callable[[Ports], dict[str, ServerPlan]]


@contextmanager
def kept_servers(client: Client, needs: Needs) -> Iterator[tuple[KeeperState, threading.Event]]:
    """Keep the servers running for as long as the context lasts; a keeper that dies is replaced.

    Yields the keeper's state, and an event that is set when the keeper was told to end.

    Raises:
        PipelineError: A server does not start, or others use a keeper of other code or settings.
    """
    # That of this command, whatever is on the disk later.
    code, ports = code_of_keeper(), Ports()
    state = _join(client, needs, code, ports)
    ended, left = threading.Event(), threading.Event()

    def watch() -> None:
        while not left.wait(WATCH_SECONDS):
            try:
                if _was_told_to_end(client.home):
                    break
                _join(client, needs, code, ports)
            except (PipelineError, OSError) as error:
                if not left.is_set():
                    print(f"error: {error}", file=sys.stderr)
                break
        if not left.is_set():
            ended.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield state, ended
    finally:
        left.set()
        ports.close()


def _was_told_to_end(home: Home) -> bool:
    state = KeeperState.load(home)
    return state is not None and state.ending and not state.error


def _join(client: Client, needs: Needs, code: str, ports: Ports) -> KeeperState:
    """Return the state of a keeper whose servers answer; start one where none lives. Hold its ports."""
    home, started = client.home, 0
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with home.mutex(), _lock_unless_kept(home) as lock:
            state = KeeperState.load(home)
            if lock is not None:
                _refuse_to_start_again(home, state, started)
                _warn_unguarded(home)
                _start(home, KeeperPlan(code, needs.store, needs.plan(ports), LINGER_SECONDS), lock)
                started += 1
            elif state is None or state.ending:
                pass
            elif state.code != code or state.store != needs.store:
                _replace(client, state, code)
            elif needs.servers <= set(state.ready):
                ports.hold(home, state.pid)
                return state
        time.sleep(POLL_SECONDS)
    raise PipelineError(
        f"the servers of {home.path} must answer but do not within {WAIT_SECONDS:.0f} s: "
        f"read {home.logs / 'keeper.log'}, or end them by `mnist-pipeline down`."
    )


@contextmanager
def _lock_unless_kept(home: Home) -> Iterator[int | None]:
    """Hold the keeper's lock, and give its descriptor; None where a keeper lives. Call with the mutex held.

    Raises:
        PipelineError: A version without a keeper uses the home.
    """
    with open_lock(home.keeper_lock) as file:
        if try_lock(file.fileno()):
            yield file.fileno()
            return
        file.seek(0)
        if (holder := file.read()) != HOLDER:
            raise PipelineError(
                f"{home.path} is in use by {holder or 'another process'}, an older mnist-pipeline: "
                "wait for it to end or choose another directory with --home."
            )
        yield None


def _refuse_to_start_again(home: Home, state: KeeperState | None, started: int) -> None:
    if started and state and state.error:
        raise PipelineError(state.error)
    if started == STARTS:
        raise PipelineError(
            f"the servers of {home.path} must stay but ended {STARTS} times: read {home.logs / 'keeper.log'}."
        )


def _warn_unguarded(home: Home) -> None:
    if not owners_are_known():
        print(
            f"warning: every user of this machine can use MLflow of {home.path}, since this system does not tell whose "
            "a connection is: name a server that asks for a login in MLFLOW_TRACKING_URI where others use the machine",
            file=sys.stderr,
        )


def _start(home: Home, plan: KeeperPlan, lock: int) -> None:
    """Start a keeper in a session of its own; it has the lock before this returns."""
    with open_lock(home.keeper / "servers") as servers, (home.logs / "keeper.log").open("a") as log:
        # Servers of a keeper that was killed end within seconds; two MLflow servers must not share a database.
        fcntl.flock(servers, fcntl.LOCK_EX)
        plan.starting().save(home)
        os.ftruncate(lock, 0)
        os.write(lock, HOLDER.encode())
        command = [sys.executable, "-W", "ignore", "-m", "pipelines.local.keeper", str(home.path)]
        locks = (lock, servers.fileno())
        listeners = [server.listener for server in plan.servers.values()]
        subprocess.run(
            [*command, *map(str, locks)],
            input=json.dumps(asdict(plan)),
            text=True,
            stdout=log,
            stderr=log,
            env=environment(),
            cwd=REPOSITORY,
            pass_fds=(*locks, *listeners),
            start_new_session=True,
            check=True,
        )


def _replace(client: Client, state: KeeperState, code: str) -> None:
    """Tell an idle keeper that does not suit to end.

    Raises:
        PipelineError: Others use it.
    """
    other = "other code" if state.code != code else "another object store for MLflow"
    where = client.home.path
    if others := client.others():
        raise PipelineError(
            f"the servers of {where} must be those of this command but run {other} for {in_words(others)}: "
            "wait for these to end, or choose another directory with --home."
        )
    if state.pid:
        print(f"the servers of {where} run {other}; they are started again", file=sys.stderr)
        _tell_to_end(client.home, state)


def _tell_to_end(home: Home, state: KeeperState) -> None:
    """Send SIGTERM to a living keeper, and wait until it knows. Call with the mutex held."""
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + KNOW_SECONDS
    while not (known := KeeperState.load(home)) or not known.ending:
        if time.monotonic() > deadline:
            raise PipelineError(
                f"the keeper of {home.path} must end but process {state.pid} does not: end it with kill -9."
            )
        time.sleep(POLL_SECONDS)


def end_servers(home: Home, *, force: bool = False) -> bool:
    """End the servers of a home, and return whether there were any.

    Args:
        home: The home.
        force: End them though clients use them.

    Raises:
        PipelineError: Clients use them, or they do not end.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    told = False
    while time.monotonic() < deadline:
        with home.mutex(), _lock_unless_kept(home) as lock:
            if lock is not None:
                home.kept_until_down.unlink(missing_ok=True)
                return told
            if not told and (users := scan_clients(home)[0]) and not force:
                raise PipelineError(
                    f"the servers of {home.path} must be idle to be ended but are used by {in_words(users)}: "
                    "wait for these to end, or give --force."
                )
            state = KeeperState.load(home)
            if state and state.pid and not told:
                home.kept_until_down.unlink(missing_ok=True)
                _tell_to_end(home, state)
                told = True
        time.sleep(POLL_SECONDS)
    raise PipelineError(
        f"the servers of {home.path} must end but do not within {WAIT_SECONDS:.0f} s: "
        f"read {home.logs / 'keeper.log'}."
    )


def keep_until_down(home: Home) -> None:
    """Let the servers stay without clients until `end_servers`.

    Raises:
        PipelineError: No keeper lives: the environment names both servers.
    """
    with home.mutex():
        if living_keeper(home) is None:
            raise PipelineError(
                "`mnist-pipeline up` must have a server to start but S3_ENDPOINT_URL and MLFLOW_TRACKING_URI "
                "name both: unset one of them."
            )
        home.kept_until_down.touch()


def living_keeper(home: Home) -> KeeperState | None:
    """Return the state of the living keeper, None where none lives. Call with the mutex held."""
    with _lock_unless_kept(home) as lock:
        return None if lock is not None else KeeperState.load(home)


def in_words(clients: Sequence[ClientRecord]) -> str:
    """Return clients as a list in words."""
    return ", ".join(client.described() for client in clients)


@functools.cache
def code_of_keeper() -> str:
    """Return the SHA-256 of the code that keeps and serves: this room's modules, the interpreter and the packages."""
    sources = [
        *sorted(Path(__file__).parent.glob("*.py")),
        *((Path(__file__).parents[1] / "compat" / name) for name in ("mlflow_server.py", "swift_sockets.py")),
    ]
    digest = hashlib.sha256(f"{sys.prefix} {sys.version} {lock_digest()}".encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()
