"""Processes of the tests' own, forked from one that has imported what they use: TensorFlow alone takes seconds."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO, Any

import pytest

from components.train.devices import onednn_is_decided
from pipelines.local.step_process import IMPORTED

COMMAND = """
import os, sys
os.dup2(os.open(sys.argv.pop(1), os.O_WRONLY), 2)
from pipelines.cli.main import main
main()
"""


class _Process(ForkServerProcess):
    """A process with variables, directory and output of the one that made it, not of the one that it is forked from."""

    def __init__(self, *given: Any, variables: Mapping[str, str] | None = None, **named: Any) -> None:
        super().__init__(*given, **named)
        self._variables = dict(os.environ if variables is None else variables)
        self._directory = Path.cwd()
        self._output = [Connection(os.dup(number), readable=False) for number in (1, 2)]

    def run(self) -> None:
        os.environ.clear()
        os.environ.update(self._variables)
        os.chdir(self._directory)
        for number, stream in enumerate(self._output, 1):
            os.dup2(stream.fileno(), number)
        super().run()


class _Context(ForkServerContext):
    Process = _Process


@cache
def forking() -> ForkServerContext:
    """Return the way to start such processes; the imports begin."""
    steps = [name for name in IMPORTED if not name.startswith("kfp")]
    keras = ["keras"] if onednn_is_decided() else []
    modules = [*steps, "benchmarks.reliability.attempt", "pipelines.cli.main", *keras]
    multiprocessing.set_forkserver_preload(modules)
    forkserver.ensure_running()
    return _Context()


@pytest.fixture
def forked_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes of a search be forked: from a worker of the tests, which has threads, they would not be."""
    monkeypatch.setattr("components.tune.processes.child_context", forking)


class ForkedPython:
    """A process that runs a program, with pipes for its input and its output; to its caller it is like a `Popen`.

    Args:
        program: The program's text.
        *arguments: What it finds in ``sys.argv[1:]``.
        variables: Its environment; None stands for that of this process.
    """

    def __init__(self, program: str, *arguments: object, variables: Mapping[str, str] | None = None) -> None:
        context = forking()
        given, stdin = context.Pipe(duplex=False)
        stdout, written = context.Pipe(duplex=False)
        work = (program, tuple(map(str, arguments)), given, written)
        self._process = _Process(target=_run, args=work, variables=variables)
        self._process.start()
        given.close()
        written.close()
        self.stdin: IO[str] = os.fdopen(os.dup(stdin.fileno()), "w", buffering=1)
        self.stdout: IO[str] = os.fdopen(os.dup(stdout.fileno()))
        stdin.close()
        stdout.close()

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(int(self._process.pid or 0), number)

    def wait(self) -> int:
        self._process.join()
        return int(self._process.exitcode or 0)

    def output(self) -> str:
        """Return what is left of the output, once the process has ended well."""
        rest = self.stdout.read()
        assert self.wait() == 0, rest
        return rest


def forked_command(*arguments: object, variables: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Run the command line, and return how it ended and what it printed."""
    with tempfile.NamedTemporaryFile("r") as errors:
        process = ForkedPython(COMMAND, errors.name, *arguments, variables=variables)
        output = process.stdout.read()
        return CompletedProcess("mnist-pipeline", process.wait(), output, errors.read())


def _run(program: str, arguments: tuple[str, ...], given: Connection, written: Connection) -> None:
    os.dup2(given.fileno(), 0)
    os.dup2(written.fileno(), 1)
    # That of a process of multiprocessing is empty.
    sys.stdin = os.fdopen(0)
    sys.argv[1:] = arguments
    exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102
