"""A command in a new session, whose whole process group ends when the parent goes away.

Run as a script, `python -IS supervisor.py GRACE_SECONDS COMMAND...`, with a pipe as stdin of which only the
parent holds the other end: end of file means that the parent closed it or died, however it died. Exits with
the command's status, or 128 + N where signal N ended it. On Linux kill -9 of this process kills the command too.
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


def signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def end_group_with_parent(group: int, grace_seconds: float) -> None:
    os.read(0, 1)  # not sys.stdin: a thread inside its lock would crash the interpreter's exit
    signal_group(group, signal.SIGTERM)
    time.sleep(grace_seconds)
    signal_group(group, signal.SIGKILL)


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
    signal.signal(signal.SIGTERM, lambda *_: signal_group(leader.pid, signal.SIGTERM))
    threading.Thread(target=end_group_with_parent, args=(leader.pid, grace_seconds), daemon=True).start()
    status = leader.wait()
    signal_group(leader.pid, signal.SIGKILL)  # what the command left behind
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
