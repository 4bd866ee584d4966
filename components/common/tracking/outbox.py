"""Records for MLflow that wait while it does not answer."""

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from components.common.narration import say

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException
    from requests import RequestException

RETRY_SECONDS = 15.0


def _refused(error: "MlflowException | RequestException") -> bool:
    """Whether the record itself is at fault, as opposed to a server that does not answer or is too busy."""
    from requests import RequestException

    if not isinstance(error, RequestException):
        status = error.get_http_status_code()
    else:
        status = error.response.status_code if error.response is not None else 503
    return status < 500 and status not in {408, 429}


def reason(error: BaseException) -> str:
    """Return what is worth showing of an error of MLflow's client."""
    return str(error).partition("\n")[0][:200]


class Outbox:
    """Calls to MLflow in order; those that find no server wait for the next flush."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._next_attempt = 0.0

    def send(self, call: Callable[[], object]) -> None:
        self._waiting.append(call)
        if time.monotonic() >= self._next_attempt:
            self.flush()

    def flush(self) -> None:
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
        """Try once more, and say what is lost."""
        self.flush()
        if self._waiting:
            say("tracking", f"{len(self._waiting)} records were not sent to MLflow and are lost")
