"""An error that the user can fix, and the first line of any error."""


class PipelineError(Exception):
    """A mistake in the input, the configuration or the environment.

    Its message is one line that states the rule, the offending value and the way out. Steps and the command
    line print that line and exit non-zero, without a traceback.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type's name where the message is empty."""
    return str(error).partition("\n")[0] or type(error).__name__
