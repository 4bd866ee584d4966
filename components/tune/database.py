"""PostgreSQL as the study and the claims reach it: bounds on every wait, and outages told from mistakes."""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from components.common.errors import UnavailableError, first_line

ANSWER_SECONDS = 60.0
# libpq's names. A connection whose other end has vanished is noticed after a minute.
CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# In the server's messages about a connection that it refuses, which has no code to tell it by.
REFUSALS = ("authentication failed", "does not exist", "no pg_hba.conf entry", "permission denied")


def engine_options() -> dict[str, Any]:
    """Return the options of an engine of SQLAlchemy, and bound the wait for each answer of PostgreSQL.

    The bound holds for all connections of this process. libpq has none of its own: a server or a proxy that lives and
    says nothing would be waited for without end.
    """
    from psycopg2.extensions import set_wait_callback  # type: ignore[import-untyped]

    set_wait_callback(_wait)
    return {"pool_pre_ping": True, "connect_args": CONNECTION}


def _wait(connection: Any) -> None:
    """Wait for the server's answer as `psycopg2.extras.wait_select` does, but not for ever."""
    from psycopg2 import OperationalError  # type: ignore[import-untyped]
    from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE

    deadline = time.monotonic() + ANSWER_SECONDS
    while (state := connection.poll()) != POLL_OK:
        reading = [connection.fileno()] if state == POLL_READ else []
        writing = [connection.fileno()] if state == POLL_WRITE else []
        left = max(0.0, deadline - time.monotonic())
        if not any(select.select(reading, writing, [], left)):
            raise OperationalError(f"no answer within {ANSWER_SECONDS:g} s")


@contextmanager
def database_must_answer() -> Iterator[None]:
    """Turn an outage of the database into one line.

    Raises:
        UnavailableError: The database does not answer, or ended the connection.
    """
    try:
        yield
    except Exception as error:
        if reason := _outage(error):
            raise UnavailableError(
                f"the database of the study must answer but does not ({reason.rstrip('.')}): "
                "start it, or correct OPTUNA_STORAGE."
            ) from error
        raise


def _outage(error: Exception) -> str | None:
    """Return the reason of an outage, None where the error is another."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import InterfaceError, OperationalError

    # Optuna puts its own error before that of SQLAlchemy.
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if not isinstance(cause, OperationalError | InterfaceError):
        return None
    return None if any(refusal in str(cause) for refusal in REFUSALS) else first_line(cause)
