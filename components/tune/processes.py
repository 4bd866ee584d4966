"""Processes that work side by side on one task."""

import os
import signal
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from typing import Any, TypeVar

from components.common.child_processes import child_context, when_parent_ends
from components.common.narration import say
from components.train.autosave import TERMINATED

Result = TypeVar("Result")


def run_side_by_side(count: int, work: Callable[..., Result], *given: Any) -> list[Result]:
    """Call a function in several processes, each with its number, counted from 0, and the given arguments.

    SIGTERM is passed on to the processes. Where this process ends before them, however it ends, they get it too.

    Returns:
        The results of the processes that came to their end, in the order in which they did.

    Raises:
        SystemExit: No process came to its end, with 128 + N where signal N ended one; or SIGTERM arrived.
    """
    context = child_context()
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
        raise SystemExit(_status([process.exitcode or 0 for process in processes]))
    return found


def _status(codes: list[int]) -> int:
    """Return the exit status for processes that all failed, and say it where a signal ended one."""
    if signalled := [-code for code in codes if code < 0]:
        say(
            "tune",
            f"error: the processes of a search must end by themselves but signal {signalled[0]} ended one: "
            "give the task more memory if it was short of it.",
        )
    return max(1, *(128 - code if code < 0 else code for code in codes))


def _put_result(results: "SimpleQueue[Any]", work: Callable[..., Any], *given: Any) -> None:
    when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    results.put(work(*given))
