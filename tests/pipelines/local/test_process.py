import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from components.common.errors import PipelineError
from pipelines.local import process
from pipelines.local.process import Server, SupervisedProcess, free_port

ROOT = Path(__file__).parents[3]
PARENT_AND_CHILD = ["sh", "-c", "sleep 300 & echo $$ $!; wait"]


def start(*command: str) -> SupervisedProcess:
    return SupervisedProcess(command, environment=os.environ, directory=ROOT)


def is_running(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return state.strip()[:1] not in {"", "Z"}


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill $$", 143)]
)
def test_status_is_the_commands(script: str, status: int) -> None:
    assert start("sh", "-c", script).wait() == status


def test_output_is_read_line_by_line_until_the_command_ends() -> None:
    with start("sh", "-c", "echo one; echo two >&2; exit 4") as command:
        assert list(command.lines()) == ["one\n", "two\n"]
        assert command.wait() == 4


def test_command_runs_in_a_session_of_its_own() -> None:
    with start(sys.executable, "-c", "import os; print(os.getsid(0))") as command:
        assert int(next(command.lines())) != os.getsid(0)


def test_stop_ends_a_command_whose_pipe_a_fork_of_this_process_holds_too() -> None:
    command = start("sleep", "300")
    if not (forked := os.fork()):
        signal.pause()
    try:
        command.stop()
        assert command.poll() == 143
    finally:
        os.kill(forked, signal.SIGKILL)
        os.waitpid(forked, 0)


def test_stop_ends_the_whole_group() -> None:
    command = start(*PARENT_AND_CHILD)
    pids = [int(pid) for pid in next(command.lines()).split()]
    assert command.poll() is None
    command.stop()
    assert command.poll() == 128 + signal.SIGTERM
    assert eventually(lambda: not any(map(is_running, pids)))


def test_stop_kills_what_ignores_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.2)
    command = start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    next(command.lines())
    command.stop()
    assert command.poll() == 128 + signal.SIGKILL


def test_what_the_command_leaves_behind_is_killed() -> None:
    with start("sh", "-c", "sleep 300 & echo $!") as command:
        pid = int(next(command.lines()))
        assert command.wait() == 0
    assert eventually(lambda: not is_running(pid))


def test_the_command_does_not_outlive_its_supervisor() -> None:
    command = start("sh", "-c", "echo $$; sleep 300 & wait")
    pid = int(next(command.lines()))
    psutil.Process(psutil.Process(pid).ppid()).kill()
    assert eventually(lambda: not is_running(pid))


def test_a_lock_lasts_as_long_as_the_command(tmp_path: Path) -> None:
    script = "import os, sys; print(os.fstat(int(sys.argv[1])).st_ino)"
    with (tmp_path / "lock").open("w") as lock:
        number = str(lock.fileno())
        command = SupervisedProcess(
            [sys.executable, "-c", script, number],
            environment=os.environ,
            directory=ROOT,
            held=[lock.fileno()],
        )
        assert [*command.lines()] == [f"{(tmp_path / 'lock').stat().st_ino}\n"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_group_ends_with_the_process_that_started_it(number: signal.Signals) -> None:
    script = f"""
import os, pathlib
from pipelines.local.process import SupervisedProcess
command = SupervisedProcess({PARENT_AND_CHILD}, environment=os.environ, directory=pathlib.Path())
print(next(command.lines()), flush=True)
command.wait()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert all(map(is_running, pids))
        parent.send_signal(number)
    assert eventually(lambda: not any(map(is_running, pids)))


def test_server_that_ends_while_starting_is_explained_by_its_log(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    script = "echo starting; echo 'ERROR: port 1 is taken'; echo bye; exit 1"
    with (
        Server(
            "the server", ["sh", "-c", script], environment=os.environ, directory=tmp_path, log_path=log
        ) as server,
        pytest.raises(PipelineError) as caught,
    ):
        server.wait_until_ready(lambda: False)
    assert str(caught.value) == f"the server ended while starting (ERROR: port 1 is taken): read {log}."


def test_a_server_that_has_ended_is_not_ready_though_another_answers(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with (
        Server("the server", ["true"], environment=os.environ, directory=tmp_path, log_path=log) as server,
        pytest.raises(PipelineError, match="ended while starting"),
    ):
        server.wait_until_ready(lambda: server.wait() == 0)


def test_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 0.1)
    log = tmp_path / "server.log"
    with (
        Server(
            "the server", ["sleep", "300"], environment=os.environ, directory=tmp_path, log_path=log
        ) as server,
        pytest.raises(PipelineError, match=r"was not ready within 0 s \(it printed nothing\)"),
    ):
        server.wait_until_ready(lambda: False)


def test_preferred_port_is_used_where_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        other = free_port(port)
        assert other != port
    assert free_port(port) == port
