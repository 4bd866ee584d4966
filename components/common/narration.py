"""Lines of progress and the one-line error of a step."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from components.common.errors import stated
from components.common.printable import printable


def say(step: str, message: str) -> None:
    """Print one line of progress.

    Lines of the form `[step] message` are for people. A local run shows these lines on the terminal, and writes all
    other output to the log file. On a cluster they are in the pod's log.
    """
    print(f"[{step}] {printable(message)}", flush=True)


@contextmanager
def exit_on_stated_error(step: str) -> Iterator[None]:
    """Turn a `StatedError` or a full disk into one line and its exit status; let everything else raise."""
    try:
        yield
    except Exception as error:
        told = stated(error)
        if told is None:
            raise
        say(step, f"error: {told}")
        sys.exit(told.exit_status)
