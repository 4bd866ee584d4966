import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from components.common.errors import PipelineError
from pipelines.local import keeper_control
from pipelines.local.clients import registered_client
from pipelines.local.home import Home
from pipelines.local.keeper import KeeperState
from pipelines.local.keeper_control import (
    Needs,
    end_servers,
    keep_until_down,
    kept_servers,
    living_keeper,
)
from pipelines.local.process import accepts_connections, free_port
from tests.pipelines.local.test_clients import eventually
from tests.pipelines.local.trivial_servers import client_script, server_process, trivial_needs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setattr(keeper_control, "LINGER_SECONDS", 0.3)
    monkeypatch.setattr(keeper_control, "WATCH_SECONDS", 0.05)
    home = Home(tmp_path / "home")
    home.prepare()
    yield home
    end_servers(home, force=True)


@pytest.fixture
def port() -> int:
    return free_port()


@contextmanager
def joined(home: Home, needs: Needs) -> Iterator[KeeperState]:
    with registered_client(home) as client, kept_servers(client, needs) as (state, _):
        yield state


def living(home: Home) -> KeeperState | None:
    with home.mutex():
        return living_keeper(home)


@contextmanager
def client_process(home: Home, port: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", client_script(home.path, port)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def keeper_of(process: "subprocess.Popen[str]") -> int:
    assert process.stdout
    return int(process.stdout.readline())


def test_commands_that_start_at_once_share_one_keeper_and_the_death_of_the_first_harms_none(
    home: Home, port: int
) -> None:
    with client_process(home, port) as one, client_process(home, port) as two:
        pid = keeper_of(one)
        assert keeper_of(two) == pid
        assert psutil.Process(pid).ppid() != one.pid
        one.kill()
        one.wait()
        with joined(home, trivial_needs(home, port)) as state:
            assert (state.pid, state.addresses) == (pid, {"store": f"http://127.0.0.1:{port}"})
        two.kill()
    assert eventually(lambda: living(home) is None)
    assert not accepts_connections(port)


@pytest.mark.parametrize("known", [True, False])
def test_a_start_without_a_guard_is_warned_of(
    known: bool, home: Home, port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keeper_control, "owners_are_known", lambda: known)
    with joined(home, trivial_needs(home, port)):
        told = capsys.readouterr().err
    assert told.startswith(f"warning: every user of this machine can use MLflow of {home.path}, ") != known
    assert len(told.splitlines()) == (not known)


def test_a_killed_server_is_started_again_at_its_port(home: Home, port: int) -> None:
    with joined(home, trivial_needs(home, port)) as state:
        server = server_process(state)
        server.kill()
        # The request waits until the server is there again.
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert answer.status == 200
        assert not server.is_running()
        assert "ended with status 137 and is started again" in (home.logs / "keeper.log").read_text()


def test_a_killed_keeper_is_replaced_at_the_same_ports(home: Home, port: int) -> None:
    with joined(home, trivial_needs(home, port)) as state:
        server = server_process(state)
        os.kill(state.pid, signal.SIGKILL)
        server.wait(timeout=20)
        # The request waits until another keeper has started one.
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert answer.status == 200
        assert eventually(lambda: bool((found := living(home)) and found.ready and found.pid != state.pid))
        replaced = living(home)
        assert replaced
        assert replaced.addresses == state.addresses


def test_another_port_is_used_where_the_homes_is_taken(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with joined(home, trivial_needs(home, port)) as state:
            assert state.addresses["store"] != f"http://127.0.0.1:{port}"


def test_servers_stay_until_down(home: Home, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_control, "LINGER_SECONDS", 0.0)
    with joined(home, trivial_needs(home, port)) as state:
        keep_until_down(home)
    for _ in range(2):
        os.utime(home.clients)  # a client that came and went
        assert not eventually_gone(state.pid)
    assert end_servers(home)
    assert not home.kept_until_down.exists()
    assert not end_servers(home)


def eventually_gone(pid: int) -> bool:
    try:
        psutil.Process(pid).wait(0.6)
    except psutil.TimeoutExpired:
        return False
    except psutil.NoSuchProcess:
        pass
    return True


def test_up_without_a_server_to_start_is_refused(home: Home) -> None:
    with pytest.raises(PipelineError, match="name both: unset one of them"):
        keep_until_down(home)
    assert not home.kept_until_down.exists()


def test_used_servers_are_ended_by_force_alone_and_their_users_know(home: Home, port: int) -> None:
    with registered_client(home) as client, kept_servers(client, trivial_needs(home, port)) as (_, ended):
        client.announce("run-1")
        users = rf"are used by run run-1 \(process {os.getpid()}, since [\d:]+\): wait .* --force"
        with pytest.raises(PipelineError, match=users):
            end_servers(home)
        assert accepts_connections(port)
        assert end_servers(home, force=True)
        assert ended.wait(30)
        assert living(home) is None
        client.announce(None)


@pytest.mark.parametrize("difference", ["code", "store"])
def test_a_keeper_of_other_code_or_settings_is_replaced_when_idle_and_else_an_error(
    home: Home,
    port: int,
    difference: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = trivial_needs(home, port, store="digest" if difference == "store" else "")
    with ExitStack() as user:
        before = user.enter_context(joined(home, trivial_needs(home, port)))
        user.callback(monkeypatch.undo)
        monkeypatch.setattr(keeper_control, "WATCH_SECONDS", 60)
        if difference == "code":
            monkeypatch.setattr(keeper_control, "code_of_keeper", lambda: "other")
        refused = (
            r"must be those of this command but run (other code|another object store .*) for `.*` \(process"
        )
        with pytest.raises(PipelineError, match=refused), joined(home, mine):
            pass
        assert living(home) == before
    if difference == "code":
        monkeypatch.setattr(keeper_control, "code_of_keeper", lambda: "other")
    with joined(home, mine) as after:
        assert after.pid != before.pid
        assert after.addresses == before.addresses
    assert "are started again" in capsys.readouterr().err


def test_a_server_that_does_not_start_is_explained_and_the_next_start_works(home: Home, port: int) -> None:
    broken = trivial_needs(home, port, "sh", "-c", "echo 'ERROR: no room'; exit 1")
    with (
        pytest.raises(PipelineError, match=r"ended while starting \(ERROR: no room\): read "),
        joined(home, broken),
    ):
        pass
    with joined(home, trivial_needs(home, port)):
        assert accepts_connections(port)


def test_a_home_that_an_older_version_has_locked_is_in_use(home: Home, port: int) -> None:
    script = """
import fcntl, sys
with open(sys.argv[1], "a+") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write("process 1 (MLflow at http://127.0.0.1:5001)")
    file.flush()
    print("locked", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home.keeper_lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as older:
        assert older.stdout
        older.stdout.readline()
        with (
            pytest.raises(
                PipelineError, match=r"in use by process 1 \(MLflow at http://127.0.0.1:5001\), an older"
            ),
            joined(home, trivial_needs(home, port)),
        ):
            pass
        older.kill()


def test_servers_that_never_answer_are_an_error(
    home: Home, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_control, "WAIT_SECONDS", 0.5)
    mute = trivial_needs(home, port, "sleep", "300")
    with (
        pytest.raises(PipelineError, match=r"must answer but do not within .* read .*keeper.log"),
        joined(home, mute),
    ):
        pass
    monkeypatch.undo()
    assert end_servers(home)
