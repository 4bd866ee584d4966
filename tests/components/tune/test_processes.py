import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.train.autosave import TERMINATED
from components.tune.processes import run_side_by_side

WAITS = """
from components.tune.processes import run_side_by_side
from tests.components.tune.test_processes import _wait
if __name__ == "__main__":
    run_side_by_side(2, _wait)
"""


def _square(number: int, lost: list[int]) -> int:
    if number in lost:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def _wait(number: int) -> None:
    print(number, os.getpid(), flush=True)
    time.sleep(600)


def test_results_of_the_processes_that_are_not_lost() -> None:
    assert sorted(run_side_by_side(3, _square, [1])) == [0, 4]


def test_work_that_every_process_loses_is_started_again(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_side_by_side(2, _square, [0, 1])
    assert ended.value.code == 128 + signal.SIGKILL
    assert "error: the processes of a search must end by themselves but signal 9" in capsys.readouterr().out


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_the_processes_end_when_their_parent_is_ended(sent: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = [int(parent.stdout.readline().split()[1]) for _ in range(2)]
        parent.send_signal(sent)
        assert parent.wait() == (TERMINATED if sent == signal.SIGTERM else -sent)
        # The end of the output: all that could write to it are gone.
        assert parent.stdout.read() == ""
    for pid in pids:
        assert not Path(f"/proc/{pid}/exe").exists()
