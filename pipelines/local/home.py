"""The directory that holds all files of the embedded platform."""

import fcntl
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from components.common.errors import PipelineError
from components.common.storage.files import sweep_partial

# Mode of a home, which holds keys and sockets; and the rights of others.
PRIVATE, OTHERS, OTHERS_WRITE = 0o700, 0o077, 0o022
# All that a home holds, without the endings of files.
OWN_NAMES = {
    *("store", "mlflow", "kfp", "optuna", "logs", "checkpoints", "models", "clients", "keeper", "keys"),
    *("lock", "platform"),
}


@dataclass(frozen=True)
class Home:
    """Data, history, logs and settings of the embedded platform below `path`."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path.absolute())

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def mlflow(self) -> Path:
        return self.path / "mlflow"

    @property
    def kfp(self) -> Path:
        return self.path / "kfp"

    @property
    def optuna(self) -> Path:
        return self.path / "optuna"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def keys(self) -> Path:
        """The key that signs versions, and its public half."""
        return self.path / "keys"

    @property
    def models(self) -> Path:
        """Files of registered versions that `predict` keeps."""
        return self.path / "models"

    @property
    def clients(self) -> Path:
        """A file for each command that uses the home."""
        return self.path / "clients"

    @property
    def keeper(self) -> Path:
        """The state of the process that keeps the servers, and the locks around it."""
        return self.path / "keeper"

    @property
    def keeper_lock(self) -> Path:
        """A file that the keeper has locked for as long as it lives; versions before it locked it for a command."""
        return self.path / "lock"

    @property
    def kept_until_down(self) -> Path:
        """A file that is there while the servers stay without clients."""
        return self.keeper / "until-down"

    def prepare(self) -> None:
        """Make the directories that are missing, close the home to other users, and sweep it.

        Raises:
            PipelineError: The home is no directory that can be written, or others can write to it.
        """
        self.make(
            self.store,
            self.mlflow,
            self.kfp,
            self.optuna,
            self.logs,
            self.checkpoints,
            self.clients,
            self.keeper,
        )
        with _must_be_writable():
            self.keeper_lock.touch(0o600)
            with self.mutex():
                pass
            for directory in (self.path, self.keeper, self.checkpoints, self.models):
                sweep_partial(directory)

    def make(self, *directories: Path) -> None:
        """Make directories of the home where they are missing, and close them and the home to other users.

        Raises:
            PipelineError: The home is no directory that can be written, or others can write to it.
        """
        with _must_be_writable():
            # A directory with other things in it may be meant for others.
            found = self.path.iterdir() if self.path.exists() else ()
            alone = {path.name.strip(".").partition(".")[0] for path in found} <= OWN_NAMES
            if not alone:
                self._refuse_where_others_write()
            for directory in (self.path, *directories) if alone else directories:
                directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
                _close_to_others(directory)

    def _refuse_where_others_write(self) -> None:
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & OTHERS_WRITE:
            raise PipelineError(
                f"a home among other files must not be open for writing to other users but {self.path} is "
                f"(mode {mode:04o}): close it with chmod go-w, or choose another with --home."
            )

    @contextmanager
    def mutex(self) -> Iterator[None]:
        """Keep other processes from the files of clients and keeper for some milliseconds; it does not nest.

        The operating system releases it when the process ends.
        """
        with open_lock(self.keeper / "mutex") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def open_lock(path: Path) -> IO[str]:
    """Open a file that processes lock, and make it where it is missing; what it holds may be damaged.

    Raises:
        PipelineError: It is no file, or cannot be written.
    """
    try:
        return path.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise PipelineError(
            f"{path} must be a file that can be written but is not ({error.strerror}): "
            "remove it, or choose another directory with --home."
        ) from None


@contextmanager
def _must_be_writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PipelineError(
            f"the home must be a directory that can be written but {error.filename} is not ({error.strerror}): "
            "choose another with --home."
        ) from None


def _close_to_others(directory: Path) -> None:
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & OTHERS:
        directory.chmod(mode & ~OTHERS)
        print(
            f"{directory} was open to other users (mode {mode:04o}) and is closed to them now",
            file=sys.stderr,
        )
