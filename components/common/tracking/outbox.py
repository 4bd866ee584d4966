"""An outbox for records to MLflow, which wait while it does not answer."""

import time
from collections import deque
from collections.abc import Callable

from components.common.narration import say
from components.common.tracking.failures import is_outage, reason

RETRY_SECONDS = 15.0


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
                if is_outage(error):
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
