"""Checkpoints of a running training: at intervals, and before SIGTERM ends the process."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from components.common.settings import settings
from components.train.checkpoint import Checkpoint

if TYPE_CHECKING:
    from components.train.session import Session

TERMINATED = 128 + signal.SIGTERM


class Autosave:
    """A block in which a training is saved every CHECKPOINT_SECONDS seconds and on SIGTERM.

    SIGTERM does not interrupt the block. It ends the process at the next `check`, or at the end of the block.

    Args:
        checkpoint: Place of the saved state; without it nothing is saved.

    Raises:
        SystemExit: SIGTERM arrived in the block.
    """

    def __init__(self, checkpoint: Checkpoint | None = None) -> None:
        self.checkpoint = checkpoint
        self._terminated = False
        self._saved = time.monotonic()
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

    def check(self, session: "Session") -> None:
        """Save the session if it is time, or if SIGTERM has arrived; end the process in the latter case."""
        due = time.monotonic() - self._saved >= settings().checkpoint_seconds
        if self.checkpoint and (due or self._terminated):
            self.checkpoint.save(session)
            self._saved = time.monotonic()
        self._exit_if_terminated()

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._terminated = True

    def _exit_if_terminated(self) -> None:
        if self._terminated:
            raise SystemExit(TERMINATED)
