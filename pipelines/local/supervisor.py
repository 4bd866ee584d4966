"""A command in a new session, whose whole process group ends when the parent goes away.

Run as a script, `python -IS supervisor.py GRACE_SECONDS COMMAND...`, with a pipe as stdin: a line on it means that the
parent wants the end, end of file that it died, however it died. Exits with the command's status, or 128 + N where
signal N ended it. On Linux kill -9 of this process kills the command too.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
# Elsewhere Python 3.11 cannot wait for a process without reaping it.
CAN_WAIT_FIRST = hasattr(os, "waitid")


class Group:
    """The process group of a command, which is never signalled after its number may be another's."""

    def __init__(self, leader: "subprocess.Popen[bytes]") -> None:
        self._leader = leader
        # A handler of signals may interrupt its holder.
        self._lock = threading.RLock()

    def signal(self, number: int) -> None:
        """Send a signal to the group, unless its leader is reaped."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._leader.returncode is None or not CAN_WAIT_FIRST:
                os.killpg(self._leader.pid, number)

    def wait(self) -> int:
        """Wait for the command, kill what it leaves behind, and return its status."""
        if CAN_WAIT_FIRST:
            os.waitid(os.P_PID, self._leader.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._leader.wait()
        self.signal(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with self._lock:
            return self._leader.wait()

    def end_with_parent(self, grace_seconds: float) -> None:
        """Wait for a line or the end of stdin, and then end the group."""
        os.read(0, 1)  # not sys.stdin: a thread inside its lock would crash the interpreter's exit
        self.signal(signal.SIGTERM)
        time.sleep(grace_seconds)
        self.signal(signal.SIGKILL)


def killed_with_this_process() -> None:
    """Let the kernel kill the calling process when the one that started it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    grace_seconds, command = float(sys.argv[1]), sys.argv[2:]
    leader = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=False,  # what this process was given is for the command
        preexec_fn=killed_with_this_process,  # noqa: PLW1509, no other thread runs yet
    )
    group = Group(leader)
    signal.signal(signal.SIGTERM, lambda *_: group.signal(signal.SIGTERM))
    threading.Thread(target=group.end_with_parent, args=(grace_seconds,), daemon=True).start()
    status = group.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
