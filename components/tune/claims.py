"""Claims on pieces of work, each held for as long as its process lives.

A worker that dies, also of kill -9, loses its claims at once, and another worker does the work; there is no heartbeat
to wait for. Workers on one machine claim by locked files. Workers in a cluster claim by PostgreSQL's advisory locks,
which end with the connection that took them; a connection pooler in transaction mode would break that. So a claim can
be lost while its worker lives.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from components.common.errors import UnavailableError
from components.common.patience import patiently
from components.tune.database import CONNECTION, database_must_answer, engine_options

if TYPE_CHECKING:
    from sqlalchemy import Connection

STEP = "tune"
# PostgreSQL too closes the connections of a vanished machine after a minute.
KEEPALIVES = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


class Claims(Protocol):
    """Claims on names of work."""

    def claim(self, name: str) -> AbstractContextManager[bool]:
        """Return a context that claims the work; it gives False where another worker has it."""

    def holds(self) -> bool:
        """Return whether the claims of this process still hold.

        A claim that was lost is taken again where no other worker has it. Another may have had it in between: ask
        afterwards whether the work is still to be done.
        """


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

    def holds(self) -> bool:
        return True


class DatabaseClaims:
    """Claims of processes that reach one PostgreSQL; its outages are waited for."""

    def __init__(self, url: str) -> None:
        from sqlalchemy import create_engine

        options = engine_options() | {"connect_args": CONNECTION | {"options": KEEPALIVES}}
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", **options)
        self._connection: Connection | None = None
        # Each claim, with the connection that took it.
        self._held: dict[int, Connection | None] = {}

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        mine = self._take(key)
        try:
            yield mine
        finally:
            if mine and self._held.pop(key) is self._connection:
                # In an outage the claim ends with the connection.
                with suppress(UnavailableError):
                    self._ask("pg_advisory_unlock", key)

    def holds(self) -> bool:
        for key, connection in list(self._held.items()):
            patiently(STEP, lambda: self._ask("pg_backend_pid"))
            if connection is not self._connection and not self._take(key):
                return False
        return True

    def _take(self, key: int) -> bool:
        mine = patiently(STEP, lambda: self._ask("pg_try_advisory_lock", key))
        if mine:
            self._held[key] = self._connection
        return mine

    def _ask(self, function: str, *given: int) -> bool:
        """Call a function of PostgreSQL, on a new connection where there is none."""
        from sqlalchemy import text

        arguments = {f"a{number}": value for number, value in enumerate(given)}
        call = f"SELECT {function}({', '.join(f':{name}' for name in arguments)})"
        with database_must_answer():
            self._connection = self._connection or self._engine.connect()
            try:
                return bool(self._connection.scalar(text(call), arguments))
            except Exception:
                self._connection.invalidate()
                self._connection = None
                raise
