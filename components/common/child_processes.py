"""Child processes that share work: how they are started, and that none outlives its parent."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path
from typing import ParamSpec, TypeVar

from components.common.cores import cores

# Each takes some 50 MiB.
MOST_PROCESSES = 8
Given = ParamSpec("Given")
Result = TypeVar("Result")


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


def spare_processes() -> int:
    """Return how many processes may work beside this one: one for each other core."""
    return min(cores(), MOST_PROCESSES) - 1


@cache
def spare_pool() -> ProcessPoolExecutor:
    """Return the processes that work beside this one, which wait for more work until it ends."""
    return ProcessPoolExecutor(spare_processes(), child_context(), end_with_parent)


def beside(function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Future[Result]:
    """Call a function in another process, and return what becomes its result; in this one where there is one core."""
    if spare_processes():
        return spare_pool().submit(function, *given, **named)
    done: Future[Result] = Future()
    done.set_result(function(*given, **named))
    return done


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
