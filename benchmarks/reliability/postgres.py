"""A PostgreSQL server of one's own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.local.process import free_port

NOT_INSTALLED = "PostgreSQL is not installed"


@dataclass(frozen=True)
class PostgresServer:
    """A running server, which trusts everybody on 127.0.0.1.

    Attributes:
        port: Its port.
        data: Its directory.
        programs: Directory of PostgreSQL's programs.
    """

    port: int
    data: Path
    programs: Path

    def url(self, port: int | None = None) -> str:
        """Return the address of its database, by default at its own port."""
        return f"postgresql://tune@127.0.0.1:{port or self.port}/postgres"

    def control(self, *arguments: str) -> None:
        """Call pg_ctl and wait for it; "start" and "restart" use the same options."""
        options = f"-p {self.port} -k {self.data.parent} -c fsync=off -c listen_addresses=127.0.0.1"
        command = [*_account(), str(self.programs / "pg_ctl"), "-D", str(self.data), "-w", *arguments]
        if arguments[0] != "stop":
            command += ["-o", options, "-l", str(self.data.parent / "log")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def terminate_backends(self) -> None:
        """End all connections, as an administrator does."""
        from sqlalchemy import create_engine, text

        with create_engine(by_psycopg2(self.url())).connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
            )


def by_psycopg2(url: str) -> str:
    """Return the address for SQLAlchemy, whose default is another driver."""
    return url.replace("postgresql://", "postgresql+psycopg2://")


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server with a new database, and stop it at the end.

    Its directory is directly below the system's temporary one: PostgreSQL's user must reach it.

    Raises:
        RuntimeError: PostgreSQL is not installed.
    """
    programs = postgres_programs()
    if programs is None:
        raise RuntimeError(NOT_INSTALLED)
    with tempfile.TemporaryDirectory() as directory:
        if _account():
            shutil.chown(directory, "postgres", "postgres")
        server = PostgresServer(free_port(), Path(directory, "data"), programs)
        subprocess.run(
            [*_account(), programs / "initdb", "-D", server.data, "-U", "tune", "-A", "trust", "--no-sync"],
            check=True,
            capture_output=True,
        )
        server.control("start")
        try:
            yield server
        finally:
            server.control("stop", "-m", "immediate")


def postgres_programs() -> Path | None:
    """Return the directory of PostgreSQL's programs, None where there is none; Debian keeps it off the PATH."""
    if found := sorted(Path("/usr/lib/postgresql").glob("*/bin")):
        return found[-1]
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def _account() -> list[str]:
    """Return how to become PostgreSQL's user: it refuses to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
