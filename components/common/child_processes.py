"""Child processes that share work: how they are started, and that none outlives its parent."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path


def child_context() -> ForkContext | SpawnContext:
    """Return the way to start processes: by a fork, which keeps all imports, where that is safe.

    A fork copies the locks that other threads hold. It is safe from a process of one thread; NumPy's own threads, which
    its library ends before a fork, do not count.
    """
    threads = Path("/proc/self/task")
    single = threads.is_dir() and len(list(threads.iterdir())) == 1
    numeric = sys.platform == "linux" and threading.active_count() == 1 and "tensorflow" not in sys.modules
    if single or numeric:
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def when_parent_ends(then: Callable[[], None]) -> None:
    """Call a function, in a thread, when the parent of this process has ended, even by kill -9."""
    if parent := multiprocessing.parent_process():

        def wait() -> None:
            parent.join()
            then()

        threading.Thread(target=wait, daemon=True).start()


def end_with_parent() -> None:
    """Let a process of a pool end when its parent does, and not by Ctrl-C, which its parent answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    when_parent_ends(lambda: os._exit(1))
