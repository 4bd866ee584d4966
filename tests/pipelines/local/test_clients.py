import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest

from pipelines.local import clients
from pipelines.local.clients import UNREADABLE, ClientRecord, registered_client, scan_clients
from pipelines.local.home import Home
from pipelines.local.process import SupervisedProcess

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of its own, whose path is longer than that of a socket may be."""
    monkeypatch.setattr(clients, "POLL_SECONDS", 0.01)
    home = Home(tmp_path / ("long" * 30))
    home.prepare()
    return home


def scan(home: Home) -> tuple[list[ClientRecord], list[ClientRecord]]:
    with home.mutex():
        return scan_clients(home)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds


def test_clients_are_known_in_the_order_of_their_arrival_until_they_leave(home: Home) -> None:
    with registered_client(home) as first, registered_client(home, queued=True) as second:
        second.announce("run-2")
        assert scan(home) == ([first.registration, second.registration], [])
        assert first.registration.pid == os.getpid()
        with home.mutex():
            assert [other.run for other in first.others()] == ["run-2"]
        second.announce(None)
    assert scan(home) == ([], [])
    assert list(home.clients.iterdir()) == []


@pytest.mark.parametrize("run", [None, "run-1"])
def test_a_killed_client_is_gone_at_once_and_its_open_run_is_known(home: Home, run: str | None) -> None:
    script = f"""
import pathlib, time
from pipelines.local.clients import registered_client
from pipelines.local.home import Home
with registered_client(Home(pathlib.Path({str(home.path)!r}))) as client:
    client.announce({run!r})
    print("registered", flush=True)
    time.sleep(300)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as client:
        assert client.stdout
        client.stdout.readline()
        living, _ = scan(home)
        assert [found.pid for found in living] == [client.pid]
        client.kill()
    living, dead = scan(home)
    assert (living, [found.run for found in dead]) == ([], ["run-1"] if run else [])
    assert len(list(home.clients.iterdir())) == len(dead)


def test_a_client_lives_until_the_processes_that_hold_its_lock_have_ended(home: Home) -> None:
    context = ExitStack()
    client = context.enter_context(registered_client(home))
    client.announce("run-1")
    command = ["sh", "-c", "echo started; sleep 300"]
    with SupervisedProcess(command, environment=os.environ, directory=ROOT, held=[client.lock]) as group:
        next(group.lines())
        context.close()  # the run is open, as after kill -9
        assert [found.run for found in scan(home)[0]] == ["run-1"]
    assert [found.run for found in scan(home)[1]] == ["run-1"]


def test_queued_clients_take_turns_and_say_for_whom_they_wait(home: Home) -> None:
    said: list[str] = []
    started: list[str] = []
    with ExitStack() as context:
        ui = context.enter_context(registered_client(home))
        ui.registration.described()
        first = ExitStack()
        working = first.enter_context(registered_client(home, queued=True))
        working.wait_for_turn(said.append)
        working.announce("run-1")
        waiting = ExitStack()
        context.enter_context(waiting)
        left = waiting.enter_context(registered_client(home, queued=True))
        third = context.enter_context(registered_client(home, queued=True))

        def wait() -> None:
            third.wait_for_turn(said.append)
            started.append("third")

        thread = Thread(target=wait)
        thread.start()
        assert eventually(lambda: len(said) == 1)
        working.announce(None)
        assert eventually(lambda: len(said) == 2)
        first.close()
        assert eventually(lambda: len(said) == 3)
        assert not started
        waiting.close()  # the second leaves the queue
        thread.join(30)
    assert started == ["third"]
    pid = os.getpid()
    assert said[0].startswith(f"waiting for run run-1 (process {pid}, since ")
    assert said[0].endswith("), and 1 more before this one; Ctrl-C leaves the queue")
    assert f"`{working.registration.command}` (process {pid}" in said[1]
    assert "more before" not in said[2]
    assert left.registration.since.partition("T")[2] in said[2]


def test_a_registration_that_was_never_written_is_removed(home: Home) -> None:
    (home.clients / "7").touch()
    assert scan(home) == ([], [])
    with registered_client(home) as client:
        assert client.registration.number == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\0", b'{"number": 1}'])
def test_a_living_client_with_a_damaged_file_still_counts_and_a_dead_one_is_forgotten(
    home: Home, content: bytes
) -> None:
    (home.clients / "foreign").touch()
    (home.clients / "77").mkdir()
    (home.clients / "5").write_bytes(content)
    with registered_client(home) as client:
        (home.clients / str(client.registration.number)).write_bytes(content)
        living, dead = scan(home)
        assert [(found.number, found.command, found.queued) for found in living] == [(78, UNREADABLE, True)]
        assert living[0].described().startswith(f"`{UNREADABLE}`")
        assert dead == []
    assert {path.name for path in home.clients.iterdir()} == {"foreign", "77"}
