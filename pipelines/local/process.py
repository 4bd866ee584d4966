"""Processes that end when this one ends, however it ends."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from components.common.errors import PipelineError

SUPERVISOR = Path(__file__).with_name("supervisor.py")
GRACE_SECONDS = 5.0
START_SECONDS = 120.0
ERROR_LINE = re.compile("(error|exception):", re.IGNORECASE)


class SupervisedProcess:
    """A command in a new session: a terminal's Ctrl-C does not reach it, and leaving the context stops it.

    When this process dies, even by kill -9, the command's whole process group is ended.

    Args:
        command: The program and its arguments.
        environment: All variables of the process.
        directory: The working directory.
        log: An open file for stdout and stderr; None sends both to `lines`.
        held: Open files with locks, which last until the whole process group has ended, even where this process dies
            before.
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
        self._supervisor.communicate()  # closes the supervisor's stdin, which makes it stop

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
        while not is_ready():
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
        command: The program and its arguments.
        environment: All variables of the process.
        directory: The working directory.
        log: Path of the log.
        port: Port that it listens at.
        probe: Path that it answers with 200 as soon as it is ready; "" where it is ready as soon as it listens.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: str
    log: str
    port: int
    probe: str = ""

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
            held=held,
        )

    def answers(self) -> bool:
        """Return whether it is ready.

        Raises:
            PipelineError: It answers with an error.
        """
        return accepts_connections(self.port) and (not self.probe or self._answers_probe())

    def _answers_probe(self) -> bool:
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        try:
            connection.request("GET", self.probe)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if status != 200:
            raise PipelineError(f"{self.name} answers with HTTP {status}: read {self.log}.")
        return True


def accepts_connections(port: int) -> bool:
    """Return whether a server listens on a port of the loopback interface."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port(preferred: int = 0) -> int:
    """Return `preferred` where it is free on the loopback interface, else another free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise PipelineError(
        "a port must be free on 127.0.0.1 but none is: end some of the programs that use them."
    )
