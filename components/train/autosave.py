"""The saved state of a running training: a copy for safety, without which the training goes on."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from components.common.errors import StatedError, first_line
from components.common.narration import say
from components.common.patience import patiently
from components.common.settings import settings
from components.train.checkpoint import Checkpoint

if TYPE_CHECKING:
    from components.train.session import Session

TERMINATED = 128 + signal.SIGTERM
STEP = "checkpoint"
# A store that accepts and never answers holds a training up for a minute and a half at each attempt.
LONGEST_PAUSE = 16  # intervals


class Autosave:
    """A block in which a training is saved every CHECKPOINT_SECONDS seconds and on SIGTERM.

    SIGTERM does not interrupt the block. It ends the process at the next `check`, or at the end of the block. A state
    that cannot be saved is said once, and is tried again after pauses that double.

    Args:
        checkpoint: Place of the saved state; without it nothing is saved.

    Raises:
        SystemExit: SIGTERM arrived in the block.
    """

    def __init__(self, checkpoint: Checkpoint | None = None) -> None:
        self.checkpoint = checkpoint
        self._terminated = False
        self._saved = time.monotonic()
        self._failures = 0
        self._previous: Any = None

    def __enter__(self) -> Self:
        # Python sets signal handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
        if error is None:
            self._exit_if_terminated()

    def restore(self, session: "Session") -> None:
        """Bring a new session to the saved state, if there is one.

        Raises:
            PipelineError: The place of the state refuses.
            UnavailableError: It does not answer for OUTAGE_SECONDS; to begin anew could cost hours.
        """
        if checkpoint := self.checkpoint:
            patiently(STEP, lambda: checkpoint.restore(session))

    def check(self, session: "Session") -> None:
        """Save the session if it is time, or if SIGTERM has arrived; end the process in the latter case."""
        pause = settings().checkpoint_seconds * min(2**self._failures, LONGEST_PAUSE)
        if time.monotonic() - self._saved >= pause or self._terminated:
            self.save(session)
        self._exit_if_terminated()

    def save(self, session: "Session") -> None:
        """Save the session, or say that it cannot be saved."""
        if not self.checkpoint:
            return
        try:
            self.checkpoint.save(session)
        except (StatedError, OSError) as error:
            self._failures += 1
            if self._failures == 1:
                say(STEP, f"the state is not saved, and the training goes on without: {first_line(error)}")
        else:
            if self._failures:
                say(STEP, "the state is saved again")
            self._failures = 0
        self._saved = time.monotonic()

    def discard(self) -> bool:
        """Delete the saved state; return False, and say so, where it has to stay."""
        try:
            if self.checkpoint:
                self.checkpoint.delete()
        except (StatedError, OSError) as error:
            say(STEP, f"a state that is of no more use stays: {first_line(error)}")
            return False
        return True

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._terminated = True

    def _exit_if_terminated(self) -> None:
        if self._terminated:
            raise SystemExit(TERMINATED)
