"""Errors that are told in one line, and the first line of any error."""

# The status that a batch system takes for "try again" (EX_TEMPFAIL of sysexits.h).
TRY_AGAIN = 75


class StatedError(Exception):
    """An error whose message is one line for people; steps and the command line print it without a traceback.

    Attributes:
        exit_status: The status that a process ends with.
    """

    exit_status = 1


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


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type's name where the message is empty."""
    return str(error).partition("\n")[0] or type(error).__name__
