"""What an error of MLflow's client tells: an outage, or a refusal."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.common.errors import first_line, is_outage_status

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException
    from requests import RequestException

# MLflow has error codes for few statuses; the others stand in the message alone.
STATUS = re.compile(r"failed with error code (\d{3}) ")


def is_outage(error: "MlflowException | RequestException") -> bool:
    """Return whether the server is away, busy or broken; else the request or the address is at fault."""
    from requests import RequestException
    from requests.exceptions import InvalidProxyURL, InvalidURL, SSLError

    for cause in _causes(error):
        if isinstance(cause, (InvalidProxyURL, InvalidURL, SSLError)):
            return False
    if isinstance(error, RequestException):
        return error.response is None or is_outage_status(error.response.status_code)
    stated = STATUS.search(str(error))
    return is_outage_status(int(stated[1]) if stated else error.get_http_status_code())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def reason(error: BaseException) -> str:
    """Return the first line of an error of MLflow's client, at most 200 characters; of a failed request, its cause."""
    from requests import RequestException

    causes = list(_causes(error))
    failed = any(isinstance(cause, RequestException) and cause.response is None for cause in causes)
    return first_line(causes[-1] if failed else error)[:200]
