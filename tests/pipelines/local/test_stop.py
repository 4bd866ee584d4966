import subprocess
import sys
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipelines.local.clients import registered_client
from pipelines.local.home import Home
from pipelines.local.stop import stop_local_run

ROOT = Path(__file__).parents[3]
RUN = "digits-fast-20261128-164021-fd4f4f"
# Ends in order on SIGTERM, as the command line does.
COMMAND = """
import pathlib, signal, sys, time
from pipelines.local.clients import registered_client
from pipelines.local.home import Home
signal.signal(signal.SIGTERM, signal.default_int_handler)
with registered_client(Home(pathlib.Path(sys.argv[1])), queued=True) as client:
    client.announce(sys.argv[2])
    try:
        print("runs", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("closed", flush=True)
        client.announce(None)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    (home.logs / f"{RUN}.log").touch()
    (home.logs / "digits-best-1.log").touch()
    return home


def test_the_command_of_the_run_is_told_to_end_and_waited_for(home: Home) -> None:
    command = [sys.executable, "-c", COMMAND, str(home.path), RUN]
    with (
        registered_client(home) as other,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running,
    ):
        assert running.stdout
        assert running.stdout.readline() == "runs\n"
        with pytest.raises(
            PipelineError, match="a run must be in progress to be stopped but digits-best-1 is not"
        ):
            stop_local_run(home, "digits-best")
        assert running.poll() is None
        assert stop_local_run(home, "digits-fast") == RUN
        assert running.stdout.read() == "closed\n"
        assert not (home.clients / str(other.registration.number + 1)).exists()
    assert running.returncode == 0


def test_a_process_that_has_the_number_by_now_is_not_ended(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.local.stop.STOP_SECONDS", 0.2)
    with (
        registered_client(home, queued=True) as client,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger,
    ):
        record = client.registration
        monkeypatch.setattr(client, "registration", type(record)(**{**vars(record), "pid": stranger.pid}))
        client.announce(RUN)
        with pytest.raises(PipelineError, match=f"end its process {stranger.pid} yourself"):
            stop_local_run(home, RUN)
        assert stranger.poll() is None
        client.announce(None)
        stranger.communicate(b"\n")
    assert stranger.returncode == 0
