"""The journal file of a study whose workers are on one machine."""

import fcntl
import json
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

from components.common.errors import PipelineError, first_line, of_outage
from components.common.narration import say
from components.common.storage.files import DAMAGED, written_file
from components.tune.claims import STEP

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class JournalLock:
    """Lock of a journal file, in the form that Optuna takes.

    The operating system drops it when its process ends; with Optuna's own, the others wait 30 s after a kill -9.
    Whoever has it finds whole lines: what a killed process or a full disk has cut short is cut off. Otherwise the next
    entry would continue that line, and Optuna could read neither.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        self._file = Path(f"{self._path}.lock").open("a")  # noqa: SIM115
        fcntl.flock(self._file, fcntl.LOCK_EX)
        _cut_torn_line(self._path)
        return True

    def release(self) -> None:
        if self._file:
            self._file.close()


def open_journal(path: Path) -> "BaseStorage":
    """Open a journal file, which is made where it is missing, and mend what is damaged in it.

    Lines that are no entries of Optuna's are moved to a file beside it. A file of which Optuna cannot make sense is
    moved as a whole, and a new one begun.

    Raises:
        PipelineError: The file cannot be opened.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lock = JournalLock(path)
    try:
        path.touch()
        lock.acquire()
        try:
            _set_aside_foreign_lines(path)
            try:
                return JournalStorage(JournalFileBackend(str(path), lock))  # type: ignore[arg-type]
            except OSError:
                raise
            except Exception as error:
                if of_outage(error):
                    raise
                aside = path.rename(f"{path}{DAMAGED}")
                say(STEP, f"{path}: Optuna cannot read it ({first_line(error)}), it is now {aside.name}")
                path.touch()
                return JournalStorage(JournalFileBackend(str(path), lock))  # type: ignore[arg-type]
        finally:
            lock.release()
    except OSError as error:
        raise PipelineError(
            f"OPTUNA_STORAGE must be a file that opens but {str(path)!r} does not ({error.strerror}): "
            "create the directory, or correct the path."
        ) from error


def _cut_torn_line(path: Path) -> None:
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) == b"\n":
                return
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)
            say(STEP, f"{path}: an entry that was not written to its end is cut off, {size - whole} bytes")


def _set_aside_foreign_lines(path: Path) -> None:
    lines = [line + b"\n" for line in path.read_bytes().split(b"\n")[:-1]]
    foreign = [line for line in lines if not _is_entry(line)]
    if not foreign:
        return
    aside = Path(f"{path}{DAMAGED}")
    with aside.open("ab") as file:
        file.writelines(foreign)
    with written_file(path) as partial:
        partial.write_bytes(b"".join(line for line in lines if _is_entry(line)))
    say(STEP, f"{path}: {len(foreign)} of {len(lines)} lines are no entries and are now in {aside.name}")


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and {"op_code", "worker_id"} <= entry.keys()
