"""Errors that are told in one line, and the first line of any error."""

import errno
import os
import shutil
from collections.abc import Iterator

# The status that a batch system takes for "try again" (EX_TEMPFAIL of sysexits.h).
TRY_AGAIN = 75
# Python says so, in a RuntimeError, where there is no memory for a thread's stack.
NO_THREAD = "can't start new thread"
# MLflow's client says so, before the errors of the files that it could not fetch.
GATHERED = "failures occurred while downloading"


class StatedError(Exception):
    """An error whose message is one line for people; steps and the command line print it without a traceback.

    Attributes:
        exit_status: The status that a process ends with.
    """

    exit_status = 1

    def __str__(self) -> str:
        # Names from outside may hold line ends, commands for a terminal, or bytes that are no text.
        return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in super().__str__())


class PipelineError(StatedError):
    """A mistake in the input, the configuration or the environment.

    Its message states the rule, the offending value and the way out.
    """


class UnavailableError(StatedError):
    """An outage of the object store, MLflow, the database or the network.

    It is nobody's mistake and says nothing about the work: the same call may succeed later. So it is no
    `PipelineError`, and code that turns a mistake into a result does not see it.
    """

    exit_status = TRY_AGAIN


def is_outage_status(status: int) -> bool:
    """Return whether an HTTP status tells of a server that is busy, broken or away, and not of a refusal."""
    return status in {408, 429} or (status >= 500 and status != 501)


def stated(error: BaseException) -> StatedError | None:
    """Return an error as one that is told in one line, None where it is a defect.

    A full disk, and memory that is used up, are outages.
    """
    for cause in _causes(error):
        if full := _full_disk(cause):
            where = (
                f"the disk of {cause.filename}"
                if isinstance(cause, OSError) and cause.filename
                else "the disk"
            )
            return UnavailableError(
                f"{where} must have room but has none ({full}): "
                "delete something, which `mnist-pipeline prune` does once a MiB is free, and start this again."
            )
        if isinstance(cause, MemoryError) or str(cause) == NO_THREAD:
            return UnavailableError(
                f"this process must have memory but gets no more ({first_line(cause)}): "
                "give it more, or end what else needs it, and start this again."
            )
    return error if isinstance(error, StatedError) else None


def of_outage(error: BaseException) -> bool:
    """Return whether an error is an outage, or comes from a full disk or want of memory.

    It says nothing about what was being read then.
    """
    return isinstance(stated(error), UnavailableError)


def _full_disk(error: BaseException) -> str:
    """Return what the operating system says of a full disk; "" for another error."""
    # `shutil.copytree` and MLflow's client gather the errors of several files as texts.
    gathered = isinstance(error, shutil.Error) or GATHERED in str(error)
    reasons = str(error) if gathered else ""
    number = error.errno if isinstance(error, OSError) else None
    full = [code for code in (errno.ENOSPC, errno.EDQUOT) if code == number or os.strerror(code) in reasons]
    return os.strerror(full[0]) if full else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from; libraries and this package wrap what the operating system says."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type's name where the message is empty."""
    return str(error).partition("\n")[0] or type(error).__name__
