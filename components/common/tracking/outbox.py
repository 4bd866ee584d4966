"""An outbox for records to MLflow, which a thread sends, so that the work never waits for it."""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from components.common.narration import say
from components.common.tracking.failures import is_outage, mlflow_errors, reason

STEP = "tracking"
FIRST_PAUSE, LONGEST_PAUSE = 15.0, 300.0  # seconds
# At the end of a step an outage that is over is noticed sooner.
LAST_PAUSE = 2.0
# A wait that is longer is announced.
QUIET_SECONDS = 2.0
# A training of a day records less; what comes on top of so many that wait is lost.
MOST_WAITING = 10_000


class Outbox:
    """Calls to MLflow, made in order by a thread of its own; those that find no server are made again later."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._away, self._lost = False, 0

    def send(self, call: Callable[[], object]) -> None:
        """Let the call be made after those that wait."""
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                self._lost += 1
                return
            self._waiting.append(call)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
                self._thread.start()

    def flush(self, seconds: float) -> None:
        """Wait until all calls are made, for so long at most; in an outage that is known, do not wait."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self._away, seconds)
            self._away = bool(self._waiting)

    def close(self, seconds: float) -> None:
        """Wait for the calls that are left while no pause between two is longer, and report how many are lost."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
            self._drain(min(seconds, QUIET_SECONDS))
            if self._waiting:
                say(
                    STEP, f"{len(self._waiting)} records wait for MLflow, for {seconds:g} s without an answer"
                )
                self._drain(seconds)
            lost = self._lost + len(self._waiting)
            self._waiting.clear()
        if lost:
            say(STEP, f"{lost} records were not sent to MLflow and are lost")

    def _drain(self, seconds: float) -> None:
        while left := len(self._waiting):
            if not self._changed.wait_for(partial(self._fewer_than, left), seconds):
                return

    def _fewer_than(self, count: int) -> bool:
        return len(self._waiting) < count

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while call := self._next():
            outage = self._make(call)
            with self._changed:
                # `close` may have given up what waited.
                if not outage and self._waiting:
                    self._waiting.popleft()
                self._away = bool(outage)
                self._changed.notify_all()
            if not outage:
                pause = FIRST_PAUSE
            elif self._closing.is_set():
                time.sleep(LAST_PAUSE)
            else:
                if pause == FIRST_PAUSE:
                    say(STEP, f"MLflow takes no records, which wait until it does: {outage}")
                self._closing.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _next(self) -> Callable[[], object] | None:
        """Wait for the next call; return None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
            return self._waiting[0] if self._waiting else None

    def _make(self, call: Callable[[], object]) -> str:
        """Make a call; return the reason where MLflow does not answer, else "". A refusal is said."""
        try:
            call()
        except mlflow_errors() as error:
            if is_outage(error):
                return reason(error)
            say(STEP, f"MLflow refused a record: {reason(error)}")
        except Exception as error:  # such as a file that is gone: the thread goes on
            say(STEP, f"a record could not be sent: {reason(error)}")
        return ""
