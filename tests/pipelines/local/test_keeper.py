import io
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from components.common.errors import PipelineError, UnavailableError
from pipelines.local.clients import registered_client
from pipelines.local.home import Home
from pipelines.local.keeper import MLFLOW, Keeper, KeeperPlan, KeeperState, say_when
from pipelines.local.process import accepts_connections, listening_socket
from tests.pipelines.local.trivial_servers import NAME, trivial_plan


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listening_socket() as listener:
        yield listener


def trivial_keeper(home: Home, listener: socket.socket, *command: str) -> KeeperPlan:
    return KeeperPlan("code", "", trivial_plan(home, listener, *command), linger=0.2)


def test_unused_servers_end_after_a_while(home: Home, listener: socket.socket) -> None:
    port = int(listener.getsockname()[1])
    Keeper(home, trivial_keeper(home, listener), lambda *_: None).keep()
    state = KeeperState.load(home)
    assert state
    assert (state.ending, state.error, state.ready) == (True, "", [NAME])
    assert state.addresses == {NAME: f"http://127.0.0.1:{port}"}
    listener.close()
    assert not accepts_connections(port)


def test_a_dead_clients_run_is_closed_as_soon_as_mlflow_answers(home: Home, listener: socket.socket) -> None:
    with registered_client(home) as client:
        client.announce("run-1")
    asked: list[tuple[str, str]] = []

    def close_run(tracking_uri: str, run: str) -> None:
        asked.append((tracking_uri, run))
        if len(asked) == 1:
            raise UnavailableError("MLflow is away")

    plan = trivial_keeper(home, listener)
    served = KeeperPlan("code", "", {MLFLOW: plan.servers[NAME]}, linger=1.0)
    Keeper(home, served, close_run).keep()
    assert asked == [(served.servers[MLFLOW].address, "run-1")] * 2
    assert list(home.clients.iterdir()) == []


def test_a_server_that_ends_while_starting_is_the_keepers_error(home: Home, listener: socket.socket) -> None:
    plan = trivial_keeper(home, listener, "sh", "-c", "echo 'ERROR: no room'; exit 1")
    with pytest.raises(PipelineError, match=r"the trivial server ended while starting \(ERROR: no room\)"):
        Keeper(home, plan, lambda *_: None).keep()
    state = KeeperState.load(home)
    assert state
    assert "no room" in state.error


def test_servers_end_when_the_home_is_removed(home: Home, listener: socket.socket) -> None:
    def remove() -> None:
        for path in (home.clients, home.keeper):
            path.rename(path.with_name(f"{path.name}-removed"))

    with registered_client(home):
        running = Thread(target=lambda: Keeper(home, trivial_keeper(home, listener), lambda *_: None).keep())
    home.kept_until_down.touch()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("threading.excepthook", lambda _: None)
        running.start()
        while not ((state := KeeperState.load(home)) and state.ready):
            assert running.is_alive()
        remove()
        running.join(30)
    assert not running.is_alive()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\0", b'{"pid": "1"}'])
def test_a_damaged_state_is_that_of_no_keeper(home: Home, content: bytes) -> None:
    (home.keeper / "state.json").write_bytes(content)
    assert KeeperState.load(home) is None


def test_a_living_keeper_mends_what_it_says_about_itself(home: Home, listener: socket.socket) -> None:
    plan = trivial_keeper(home, listener)
    with registered_client(home):
        running = Thread(target=lambda: Keeper(home, plan, lambda *_: None).keep())
        running.start()
        while not (state := KeeperState.load(home)) or not state.ready:
            assert running.is_alive()
        (home.keeper / "state.json").write_text("{")
        while KeeperState.load(home) != state:
            assert running.is_alive()
    running.join(30)
    assert not running.is_alive()


def test_a_log_on_a_full_disk_does_not_end_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    with io.TextIOWrapper(Path("/dev/full").open("wb", buffering=0), write_through=True) as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(OSError, match="No space left"):
            print("nothing", flush=True)
        say_when("nothing")
