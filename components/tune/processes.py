"""Processes that work side by side on one task."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, TypeVar

from components.train.autosave import TERMINATED

Result = TypeVar("Result")


def run_side_by_side(count: int, work: Callable[..., Result], *given: Any) -> list[Result]:
    """Call a function in several processes, each with its number, counted from 0, and the given arguments.

    SIGTERM is passed on to the processes.

    Returns:
        The results of the processes that came to their end, in the order in which they did.

    Raises:
        SystemExit: No process came to its end, or SIGTERM arrived.
    """
    context = _context()
    results: SimpleQueue[Result] = context.SimpleQueue()
    processes = [
        context.Process(target=_put_result, args=(results, work, number, *given)) for number in range(count)
    ]
    for process in processes:
        process.start()
    terminated = []

    def pass_on(*signalled: Any) -> None:
        terminated.append(signalled)
        for process in processes:
            process.terminate()

    previous = signal.signal(signal.SIGTERM, pass_on)
    try:
        for process in processes:
            process.join()
    finally:
        signal.signal(signal.SIGTERM, previous)
    found = []
    while not results.empty():
        found.append(results.get())
    if terminated:
        raise SystemExit(TERMINATED)
    if not found:
        # A process that a signal ended has a negative status.
        raise SystemExit(max(1, *(process.exitcode or 0 for process in processes)))
    return found


def _put_result(results: "SimpleQueue[Any]", work: Callable[..., Any], *given: Any) -> None:
    results.put(work(*given))


def _context() -> ForkContext | SpawnContext:
    """Fork where that is safe, which keeps all imports: a process of one thread can be forked, others cannot."""
    threads = Path("/proc/self/task")
    alone = threads.is_dir() and len(list(threads.iterdir())) == 1
    return multiprocessing.get_context("fork" if alone else "spawn")
