"""The one directory that holds everything the embedded platform keeps."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from components.common.errors import PipelineError
from pipelines.local.process import free_port


@dataclass(frozen=True)
class Settings:
    """What stays the same from one start to the next: the store's key, and the ports where they are free."""

    secret_access_key: str
    store_port: int
    mlflow_port: int


@dataclass(frozen=True)
class HomeLock:
    """An exclusive lock on a home, held by this process until it ends."""

    file: TextIO

    def announce(self, tracking_uri: str | None = None) -> None:
        """Record the holder, for the message that the next process gets."""
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
        """Create the directory where it is missing, and keep every other process out of it.

        The operating system drops the lock when the process ends, by kill -9 too; children do not inherit it.

        Raises:
            PipelineError: the directory cannot be written, or another process holds it.
        """
        with self._open_lock() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read() or "another process"
                raise PipelineError(
                    f"{self.path} is in use by {holder}: "
                    "wait for it to end or choose another directory with --home"
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
                f"the home must be a directory that can be written, but {error.filename}: {error.strerror}; "
                "choose another with --home"
            ) from None

    def settings(self) -> Settings:
        """Read ``platform.json``; create it on the first start. Call with the lock held.

        Raises:
            PipelineError: the file holds something else.
        """
        path = self.path / "platform.json"
        if not path.exists():
            # Not well-known ports: two homes that start at once would both find those free.
            _write_private(path, Settings(secrets.token_hex(20), free_port(), free_port()))
        try:
            return Settings(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise PipelineError(
                f"{path} must hold the platform's key and ports as they were written: "
                "delete it to have it made anew; data and history stay"
            ) from None


def _write_private(path: Path, settings: Settings) -> None:
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(settings), file, indent=2)
    partial.replace(path)
