"""The commands that use a home now, each registered for as long as its process lives.

A registration is a locked file. The operating system releases the lock when the process ends, even by kill -9, so no
client that is gone is taken for a living one. Every function here that says so is called with the home's mutex held.
"""

import fcntl
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from pipelines.local.home import Home

POLL_SECONDS = 0.25
# Said of a living client whose file is damaged; others wait for it as for a run.
UNREADABLE = "a command whose file is damaged"


@dataclass(frozen=True)
class ClientRecord:
    """What a client says about itself.

    Attributes:
        number: Its place in the order of arrival.
        command: Its command line.
        pid: Its process.
        since: Local time of its start, in ISO format.
        queued: Whether it takes its turn: it works when no such client came before it.
        run: Name of the pipeline run that it has started and not closed.
    """

    number: int
    command: str
    pid: int
    since: str
    queued: bool = False
    run: str | None = None

    def described(self) -> str:
        """Return the words by which messages name it."""
        what = f"run {self.run}" if self.run else f"`{self.command}`"
        return f"{what} (process {self.pid}, since {self.since.partition('T')[2]})"


class Client:
    """A registered client; `registered_client` makes it.

    Attributes:
        home: The home that it uses.
        registration: What it says about itself.
        lock: Descriptor of the locked file. A process that gets it by `SupervisedProcess(held=...)` prolongs the
            client's life beyond that of its own process.
    """

    def __init__(self, home: Home, registration: ClientRecord, lock: int) -> None:
        self.home, self.registration, self.lock = home, registration, lock

    def announce(self, run: str | None) -> None:
        """Say which pipeline run is started, or with None that it is closed."""
        self.registration = replace(self.registration, run=run)
        with self.home.mutex():
            _write(self.lock, self.registration)

    def others(self) -> list[ClientRecord]:
        """Return the other living clients, in the order of their arrival. Call with the mutex held."""
        living, _ = scan_clients(self.home)
        return [other for other in living if other.number != self.registration.number]

    def wait_for_turn(self, show: Callable[[str], None]) -> None:
        """Wait until every queued client that came before has ended.

        Args:
            show: Called with a line that names whom it waits for, again whenever that changes.
        """
        said = ""
        while True:
            with self.home.mutex():
                ahead = [
                    other
                    for other in self.others()
                    if other.queued and other.number < self.registration.number
                ]
            if not ahead:
                return
            more = f", and {len(ahead) - 1} more before this one" if len(ahead) > 1 else ""
            line = f"waiting for {ahead[0].described()}{more}; Ctrl-C leaves the queue"
            if line != said:
                show(line)
                said = line
            time.sleep(POLL_SECONDS)


@contextmanager
def registered_client(home: Home, *, queued: bool = False) -> Iterator[Client]:
    """Register this process as a client for as long as the context lasts.

    A client that leaves a run unclosed is removed by the keeper, which closes the run.

    Args:
        home: The home, with its directories.
        queued: The client will call `wait_for_turn`.
    """
    with home.mutex():
        taken = (int(path.name) for path in home.clients.iterdir() if path.name.isdecimal())
        number = 1 + max(taken, default=0)
        since = datetime.now().isoformat(timespec="seconds")
        registration = ClientRecord(number, _command(), os.getpid(), since, queued)
        path = home.clients / str(number)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        _write(lock, registration)
    client = Client(home, registration, lock)
    try:
        yield client
    finally:
        with home.mutex():
            if client.registration.run is None:
                path.unlink(missing_ok=True)
            os.close(lock)


def scan_clients(home: Home) -> tuple[list[ClientRecord], list[ClientRecord]]:
    """Return the living clients and the dead ones that have left a run open. Call with the mutex held.

    Both are in the order of arrival. What other dead clients have left is removed.
    """
    living, dead = [], []
    for name in sorted(_numbers(home), key=int):
        path = home.clients / name
        registration = _read(path)
        with path.open("rb") as file:
            alive = not try_lock(file.fileno())
        if alive:
            living.append(registration or ClientRecord(int(name), UNREADABLE, 0, "", queued=True))
        elif registration and registration.run:
            dead.append(registration)
        else:
            path.unlink()
    return living, dead


def try_lock(file: int) -> bool:
    """Lock an open file where nobody else has locked it; return whether it is locked now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def forget_client(home: Home, number: int) -> None:
    """Remove a dead client whose run is closed. Call with the mutex held."""
    (home.clients / str(number)).unlink(missing_ok=True)


def _write(file: int, registration: ClientRecord) -> None:
    # In one call, and readers take the first line alone: kill -9 leaves the old text or the new one.
    os.pwrite(file, f"{json.dumps(asdict(registration))}\n".encode(), 0)


def _read(path: Path) -> ClientRecord | None:
    """Return what a client says about itself, None where its file is damaged."""
    try:
        return ClientRecord(**json.loads(path.read_bytes().partition(b"\n")[0]))
    except (ValueError, TypeError):
        return None


def _numbers(home: Home) -> list[str]:
    """Return the names of the clients' files; other files are nobody's."""
    return [path.name for path in home.clients.iterdir() if path.name.isdecimal() and path.is_file()]


def _command() -> str:
    program = Path(sys.argv[0]).name
    return shlex.join(["mnist-pipeline" if program == "main.py" else program, *sys.argv[1:]])
