"""Errors of MLflow's client, told apart: outages and refusals."""

import re
from collections.abc import Iterator

from components.common.errors import first_line, is_outage_status
from components.common.storage.address import without_logins
from components.common.storage.s3 import is_store_outage

# MLflow answers so with status 500.
REFUSAL = "FEATURE_DISABLED"
# MLflow has error codes for few statuses; the others stand in the message alone.
STATUS = re.compile(r"failed with error code (\d{3}) ")
# What the client says after its last try.
EACH_TIME = re.compile(r"too many (\d{3}) error responses")
# How it tells of each file that did not arrive, below a first line that names none.
OF_FILE = re.compile(r"^##### File (.+) #####\n(.*)", re.MULTILINE)
MOST_FILES = 3


def mlflow_errors() -> tuple[type[Exception], ...]:
    """Return the errors of MLflow's client, which fetches some files from the server's store itself."""
    from botocore.exceptions import BotoCoreError, ClientError
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    return MlflowException, RequestException, BotoCoreError, ClientError


def is_outage(error: Exception) -> bool:
    """Return whether the server or its store is away, busy or broken; else the request or an address is at fault."""
    from requests import RequestException
    from requests.exceptions import InvalidProxyURL, InvalidURL, SSLError

    for cause in _causes(error):
        # requests raises an OSError without a number where a file of certificates is missing.
        of_file = type(cause) is OSError and cause.errno is None
        if of_file or isinstance(cause, (InvalidProxyURL, InvalidURL, SSLError)):
            return False
    if isinstance(error, RequestException):
        return error.response is None or is_outage_status(error.response.status_code)
    if stated := STATUS.search(str(error)):
        return is_outage_status(int(stated[1]))
    if f"{REFUSAL}:" in str(error):
        return False
    of_mlflow = getattr(error, "get_http_status_code", None)
    return is_outage_status(of_mlflow()) if of_mlflow else is_store_outage(error)


def reason(error: BaseException) -> str:
    """Return an error in one line, with the files not handed out; that of the cause where no good answer came."""
    from requests import RequestException

    causes = list(_causes(error))
    unanswered = any(isinstance(cause, RequestException) and cause.response is None for cause in causes)
    if not unanswered and (lines := dict(OF_FILE.findall(str(error)))):
        named = ", ".join(sorted(lines)[:MOST_FILES]) + f" and {len(lines) - MOST_FILES} more" * (
            len(lines) > MOST_FILES
        )
        return f"not {named}: {_told(lines[min(lines)])}"
    return _told(first_line(causes[-1] if unanswered else error))


def _told(line: str) -> str:
    if status := EACH_TIME.search(line):
        return f"it answered each try with status {status[1]}, as where its store or database is away"
    return without_logins(line)[:200]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
