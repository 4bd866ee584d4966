"""An outbox for records to MLflow, which wait while it does not answer."""

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from components.common.errors import first_line
from components.common.narration import say

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException
    from requests import RequestException

RETRY_SECONDS = 15.0


def _refused(error: "MlflowException | RequestException") -> bool:
    """Return whether the record is at fault, and not a server that does not answer or is too busy."""
    from requests import RequestException

    if not isinstance(error, RequestException):
        status = error.get_http_status_code()
    else:
        status = error.response.status_code if error.response is not None else 503
    return status < 500 and status not in {408, 429}


def reason(error: BaseException) -> str:
    """Return the first line of an error of MLflow's client, at most 200 characters."""
    return first_line(error)[:200]


class Outbox:
    """Calls to MLflow in order; those that find no server wait for the next flush."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._next_attempt = 0.0

    def send(self, call: Callable[[], object]) -> None:
        """Make the call after those that wait, at once if MLflow answered last time."""
        self._waiting.append(call)
        if time.monotonic() >= self._next_attempt:
            self.flush()

    def flush(self) -> None:
        """Make the calls that wait, until one finds no server."""
        if not self._waiting:
            return
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        while self._waiting:
            try:
                self._waiting[0]()
            except (MlflowException, RequestException) as error:
                if not _refused(error):
                    say(
                        "tracking",
                        f"MLflow does not answer, {len(self._waiting)} records wait: {reason(error)}",
                    )
                    self._next_attempt = time.monotonic() + RETRY_SECONDS
                    return
                say("tracking", f"MLflow refused a record: {reason(error)}")
            self._waiting.popleft()

    def close(self) -> None:
        """Try once more, and report how many records are lost."""
        self.flush()
        if self._waiting:
            say("tracking", f"{len(self._waiting)} records were not sent to MLflow and are lost")
