"""Processes that end when this one ends, however it ends."""

import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from components.common.errors import PipelineError

if TYPE_CHECKING:
    from http.client import HTTPConnection

SUPERVISOR = Path(__file__).with_name("supervisor.py")
GRACE_SECONDS = 5.0
START_SECONDS = 120.0
# Connections that wait until a server takes them, also while it is started again.
BACKLOG = 128
ERROR_LINE = re.compile("(error|exception):", re.IGNORECASE)


class SupervisedProcess:
    """A command in a new session: a terminal's Ctrl-C does not reach it, and leaving the context stops it.

    When this process dies, even by kill -9, the command's whole process group is ended.

    Args:
        command: The program and its arguments.
        environment: All variables of the process.
        directory: The working directory.
        log: An open file for stdout and stderr; None sends both to `lines`.
        held: Open files that the process group inherits; a lock on one lasts until all of the group have ended, even
            where this process dies before.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: IO[str] | None = None,
        held: Sequence[int] = (),
    ) -> None:
        self._supervisor = subprocess.Popen(
            [sys.executable, "-IS", str(SUPERVISOR), str(GRACE_SECONDS), *command],
            stdin=subprocess.PIPE,
            stdout=log or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=directory,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=held,
        )

    @property
    def pid(self) -> int:
        """The process that ends the command with this one, and is the parent of the command."""
        return self._supervisor.pid

    def lines(self) -> Iterator[str]:
        """Yield the output as it comes, with line ends, until the command has ended."""
        yield from self._supervisor.stdout or ()

    def poll(self) -> int | None:
        """Return the exit status (128 + N where signal N ended it), None while the command runs."""
        return self._supervisor.poll()

    def wait(self) -> int:
        """Wait for the end of the command, and return its exit status as `poll` does."""
        return self._supervisor.wait()

    def stop(self) -> None:
        """Send SIGTERM to the process group, SIGKILL after `GRACE_SECONDS`; return when it is gone."""
        stdin = self._supervisor.stdin
        if stdin and not stdin.closed:
            # A process forked from this one holds the pipe too, so its end may be long in coming.
            with suppress(OSError):
                stdin.write("\n")
                stdin.flush()
        self._supervisor.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Server(SupervisedProcess):
    """A supervised server with a log file, which a start empties unless it is told to go on with it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log_path: Path,
        go_on: bool = False,
        held: Sequence[int] = (),
    ) -> None:
        self.name, self.log_path = name, log_path
        with log_path.open("a" if go_on else "w", encoding="utf-8") as log:
            super().__init__(command, environment=environment, directory=directory, log=log, held=held)

    def wait_until_ready(self, is_ready: Callable[[], bool]) -> None:
        """Wait until `is_ready`.

        Raises:
            PipelineError: The server ended, or was not ready within `START_SECONDS`.
        """
        deadline = time.monotonic() + START_SECONDS
        # It is asked before it is looked at, so that no other server is taken for one that has ended.
        while not is_ready() or self.poll() is not None:
            if self.poll() is not None:
                raise self.error("ended while starting")
            if time.monotonic() > deadline:
                raise self.error(f"was not ready within {START_SECONDS:.0f} s")
            time.sleep(0.05)

    def error(self, what: str) -> PipelineError:
        """Return the error with its reason, the last error in the log, and the path of the log."""
        log = self.log_path.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        errors = [line for line in lines if ERROR_LINE.search(line)]
        last = (errors or lines or ["it printed nothing"])[-1]
        return PipelineError(f"{self.name} {what} ({last}): read {self.log_path}.")


@dataclass(frozen=True)
class ServerPlan:
    """All that is needed to start a server on 127.0.0.1.

    Attributes:
        name: Name in messages, such as "the object store".
        command: The program and its arguments, which name the descriptor of the listening socket.
        environment: All variables of the process.
        directory: The working directory.
        log: Path of the log.
        listener: Descriptor of the listening socket, which the server inherits.
        port: Port of that socket.
        probe: Path that it answers with 200 as soon as it is ready.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    log: str
    listener: int
    port: int
    probe: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, go_on: bool = False, held: Sequence[int] = ()) -> Server:
        """Start it without waiting for it; `go_on` keeps the log of the start before."""
        return Server(
            self.name,
            self.command,
            environment=self.environment,
            directory=Path(self.directory),
            log_path=Path(self.log),
            go_on=go_on,
            held=[*held, self.listener],
        )


class Probe:
    """A request that a server answers as soon as it is ready; it waits at the listening socket."""

    def __init__(self, plan: ServerPlan) -> None:
        self._plan = plan
        self._request: HTTPConnection | None = None

    def is_answered(self) -> bool:
        """Return at once whether the server has answered; where it has ended since, ask again.

        Raises:
            PipelineError: It answers with an error.
        """
        from http.client import HTTPConnection, HTTPException

        request = self._request or HTTPConnection("127.0.0.1", self._plan.port, timeout=START_SECONDS)
        self._request = request
        try:
            if request.sock is None:
                request.request("GET", self._plan.probe)
            if not select.select([request.sock], [], [], 0)[0]:
                return False
            status = request.getresponse().status
        except (OSError, HTTPException):
            status = 0
        request.close()
        self._request = None
        if status not in {0, 200}:
            raise PipelineError(f"{self._plan.name} answers with HTTP {status}: read {self._plan.log}.")
        return status == 200


def accepts_connections(port: int) -> bool:
    """Return whether a server listens on a port of the loopback interface."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def listening_socket(preferred: int = 0) -> socket.socket:
    """Return a socket that listens on the loopback interface, at `preferred` where that port is free.

    Raises:
        PipelineError: No port is free.
    """
    for port in (preferred, 0):
        try:
            return socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        except OSError:
            continue
    raise PipelineError(
        "a port must be free on 127.0.0.1 but none is: end some of the programs that use them."
    )


def free_port(preferred: int = 0) -> int:
    """Return `preferred` where it is free on the loopback interface, else another free port."""
    with listening_socket(preferred) as probe:
        return int(probe.getsockname()[1])
