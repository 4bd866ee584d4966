"""The directory that holds all files of the embedded platform."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from components.common.errors import PipelineError
from components.common.record import Record
from pipelines.local.process import free_port


class HomeSettings(Record):
    """Settings of an embedded platform that stay the same from one start to the next.

    Attributes:
        secret_access_key: Secret key of the store.
        store_port: Port of the store; another is used while it is not free.
        mlflow_port: Port of MLflow; another is used while it is not free.
    """

    FILE = "platform.json"

    secret_access_key: str
    store_port: int
    mlflow_port: int

    def save(self, directory: Path) -> None:
        """Write the file, which only this user can read."""
        target = directory / self.FILE
        partial = target.with_suffix(".partial")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.model_dump_json(indent=2))
        partial.replace(target)


@dataclass(frozen=True)
class HomeLock:
    """An exclusive lock on a home, held by this process until it ends."""

    file: TextIO

    def announce(self, tracking_uri: str | None = None) -> None:
        """Write down the holder, for the message to the next process."""
        self.file.seek(0)
        self.file.truncate()
        self.file.write(f"process {os.getpid()}" + (f" (MLflow at {tracking_uri})" if tracking_uri else ""))
        self.file.flush()


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

    @contextmanager
    def locked(self) -> Iterator[HomeLock]:
        """Create the directory where it is missing, and keep other processes out of it.

        The operating system releases the lock when the process ends, even by kill -9. Children do not inherit it.

        Raises:
            PipelineError: The directory cannot be written, or another process holds it.
        """
        with self._open_lock() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read() or "another process"
                raise PipelineError(
                    f"{self.path} is in use by {holder}: "
                    "wait for it to end or choose another directory with --home."
                ) from None
            lock = HomeLock(file)
            lock.announce()
            yield lock

    def _open_lock(self) -> TextIO:
        try:
            for directory in (self.store, self.mlflow, self.kfp, self.optuna, self.logs):
                directory.mkdir(parents=True, exist_ok=True)
            return (self.path / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise PipelineError(
                f"the home must be a directory that can be written but {error.filename} is not ({error.strerror}): "
                "choose another with --home."
            ) from None

    def settings(self) -> HomeSettings:
        """Return the settings; they are made on the first start. Call with the lock held.

        Raises:
            PipelineError: The file holds something else.
        """
        path = self.path / HomeSettings.FILE
        if not path.exists():
            # Free ports instead of well-known ones, which two homes that start at once would both find free.
            made = HomeSettings(
                secret_access_key=secrets.token_hex(20), store_port=free_port(), mlflow_port=free_port()
            )
            made.save(self.path)
        try:
            return HomeSettings.load(self.path)
        except PipelineError as error:
            raise PipelineError(
                f"{path} must hold the platform's key and ports as they were written but does not: "
                "delete it, and the next start makes a new one; data and history stay."
            ) from error
