"""The directory that holds all files of the embedded platform."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import PipelineError


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
        """Create the directories that are missing.

        Raises:
            PipelineError: The home is no directory that can be written.
        """
        try:
            for directory in (
                self.store,
                self.mlflow,
                self.kfp,
                self.optuna,
                self.logs,
                self.clients,
                self.keeper,
            ):
                directory.mkdir(parents=True, exist_ok=True)
            with self.mutex():
                pass
        except OSError as error:
            raise PipelineError(
                f"the home must be a directory that can be written but {error.filename} is not ({error.strerror}): "
                "choose another with --home."
            ) from None

    @contextmanager
    def mutex(self) -> Iterator[None]:
        """Keep other processes from the files of clients and keeper for some milliseconds; it does not nest.

        The operating system releases it when the process ends.
        """
        with (self.keeper / "mutex").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
