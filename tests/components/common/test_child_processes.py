"""Processes of a pool, in a process of its own that is killed."""

import signal
import subprocess
import sys
import threading
from types import ModuleType

import pytest

from components.common.child_processes import child_context

# `sys.stdout` of the pool's process is that of its parent.
POOL = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children
from components.common.child_processes import child_context, end_with_parent
if __name__ == "__main__":
    import numpy
    sys.modules.update(dict.fromkeys(sys.argv[1:], numpy))
    print(child_context().get_start_method(), flush=True)
    pool = ProcessPoolExecutor(2, child_context(), end_with_parent)
    working = [pool.submit(time.sleep, 600), pool.submit(time.sleep, 600)]
    print(len(active_children()), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize(("imported", "method"), [((), "fork"), (("tensorflow",), "spawn")])
def test_processes_of_a_pool_end_when_their_parent_is_killed(imported: tuple[str, ...], method: str) -> None:
    command = [sys.executable, "-c", POOL, *imported]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        said = [parent.stdout.readline().strip() for _ in range(2)]
        parent.kill()
        assert said == [method, "2"]
        # The end of the output: all that could write to it are gone.
        assert parent.stdout.read() == ""
        assert parent.wait() == -signal.SIGKILL


def test_a_process_with_other_threads_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    leave = threading.Event()
    other = threading.Thread(target=leave.wait)
    other.start()
    try:
        assert child_context().get_start_method() == "spawn"
    finally:
        leave.set()
        other.join()
    monkeypatch.setitem(sys.modules, "tensorflow", ModuleType("tensorflow"))
    assert child_context().get_start_method() == "spawn"
