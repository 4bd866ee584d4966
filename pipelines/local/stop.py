"""End of a run on this machine, from another terminal."""

import os
import signal
import sys
import time
from pathlib import Path

from components.common.errors import PipelineError
from pipelines.local.clients import ClientRecord, scan_clients
from pipelines.local.home import Home
from pipelines.local.run_logs import LIST, local_run_name

# Its process stops the steps, which have some seconds for their own end, and closes the run in MLflow.
STOP_SECONDS = 60.0
POLL_SECONDS = 0.1


def stop_local_run(home: Home, named: str) -> str:
    """End a run that is in progress, wait for its end, and return its name.

    Its command closes the run in MLflow as KILLED, as after Ctrl-C. Where that command was killed, the keeper does.

    Args:
        home: Where the run is.
        named: Name or id of the run, or how it alone begins.

    Raises:
        PipelineError: There is no such run, it is not in progress, or does not end within a minute.
    """
    name = local_run_name(home, named)
    client = _client_of(home, name)
    if client is None:
        raise PipelineError(f"a run must be in progress to be stopped but {name} is not: see `{LIST}`.")
    _signal(home, client)
    deadline = time.monotonic() + STOP_SECONDS
    while _client_of(home, name) is not None:
        if time.monotonic() > deadline:
            raise PipelineError(
                f"run {name} must end when it is told to but has not within {STOP_SECONDS:.0f} s: "
                f"end its process {client.pid} yourself."
            )
        time.sleep(POLL_SECONDS)
    return name


def _client_of(home: Home, name: str) -> ClientRecord | None:
    """Return the living command that runs it."""
    if not home.clients.is_dir():
        return None
    with home.mutex():
        living, _ = scan_clients(home)
    return next((client for client in living if client.run == name), None)


def _signal(home: Home, client: ClientRecord) -> None:
    """Send SIGTERM to the command; on Linux to no other process that has its number by now."""
    if sys.platform != "linux":
        os.kill(client.pid, signal.SIGTERM)
        return
    try:
        process = os.pidfd_open(client.pid)
    except ProcessLookupError:
        return  # its steps, which outlive it by seconds, are ending
    try:
        if _holds(client.pid, home.clients / str(client.number)):
            signal.pidfd_send_signal(process, signal.SIGTERM)
    except ProcessLookupError:
        return
    finally:
        os.close(process)


def _holds(pid: int, file: Path) -> bool:
    """Return whether a process has the file open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if link.samefile(file):
                return True
        except FileNotFoundError:
            continue
    return False
