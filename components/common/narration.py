"""What every step does around its work: say what it is doing, and fail in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from components.common.errors import PipelineError


def say(step: str, message: str) -> None:
    """Print one line of progress.

    Lines of the form ``[step] message`` are what a person follows: in a pod's log, and on the terminal of a
    local run, which shows these lines and sends everything else to the log file.
    """
    print(f"[{step}] {message}", flush=True)


@contextmanager
def exit_on_user_error(step: str) -> Iterator[None]:
    """Turn a `PipelineError` into one line and exit status 1; let everything else raise."""
    try:
        yield
    except PipelineError as error:
        say(step, f"error: {error}")
        sys.exit(1)
