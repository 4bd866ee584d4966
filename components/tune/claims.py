"""Claims on pieces of work, each held for as long as its process lives.

A worker that dies, also of kill -9, loses its claims at once, and another worker does the work; there is no heartbeat
to wait for. Workers on one machine claim by locked files. Workers in a cluster claim by PostgreSQL's advisory locks,
which end with the connection that took them; a connection pooler in transaction mode would break that.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

# PostgreSQL closes the connections of a vanished machine after a minute.
KEEPALIVES = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


class Claims(Protocol):
    """Claims on names of work."""

    def claim(self, name: str) -> AbstractContextManager[bool]:
        """Return a context that claims the work; it gives False where another worker has it."""

    def require(self) -> None:
        """Raise an exception unless the claims of this process still hold."""


class FileClaims:
    """Claims of processes on one machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / name).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def require(self) -> None:
        return


class DatabaseClaims:
    """Claims of processes that reach one PostgreSQL."""

    def __init__(self, url: str) -> None:
        from sqlalchemy import create_engine

        engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"options": KEEPALIVES})
        self._connection = engine.connect()

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        mine = self._ask("pg_try_advisory_lock", key)
        try:
            yield mine
        finally:
            if mine and not self._connection.invalidated:
                self._ask("pg_advisory_unlock", key)

    def require(self) -> None:
        from sqlalchemy import text

        self._connection.execute(text("SELECT 1"))

    def _ask(self, function: str, key: int) -> bool:
        from sqlalchemy import text

        return bool(self._connection.scalar(text(f"SELECT {function}(:key)"), {"key": key}))
