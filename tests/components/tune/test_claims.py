import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, text

from components.common.errors import UnavailableError
from components.common.settings import settings
from components.tune.database import database_must_answer, engine_options
from components.tune.study import claims

HOLDER = """
import sys, time
from components.tune.study import claims
with claims().claim("work") as mine:
    print(mine, flush=True)
    time.sleep(60)
"""

ON_EITHER = pytest.mark.usefixtures("any_storage")


@ON_EITHER
def test_a_claim_excludes_others_until_it_is_let_go() -> None:
    one, two = claims(), claims()

    with one.claim("work") as mine:
        assert one.holds()
        with two.claim("work") as others, two.claim("other work") as free:
            assert (mine, others, free) == (True, False, True)
    with two.claim("work") as others:
        assert others


@ON_EITHER
def test_an_error_lets_go() -> None:
    one, two = claims(), claims()
    with pytest.raises(ValueError, match="wrong"), one.claim("work"):
        raise ValueError("wrong")
    with two.claim("work") as mine:
        assert mine


@ON_EITHER
def test_a_process_that_is_killed_lets_go() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "True\n"
        mine = claims()
        with mine.claim("work") as held:
            assert not held
        holder.send_signal(signal.SIGKILL)
    for _ in range(100):
        with mine.claim("work") as held:
            if held:
                return
            # PostgreSQL notices the closed connection a moment later.
            subprocess.run(["sleep", "0.05"], check=True)
    pytest.fail("the claim of a killed process stays")


def test_a_claim_that_ends_with_its_connection_is_taken_again(cut: Callable[[], None]) -> None:
    one, two = claims(), claims()

    with one.claim("work"):
        cut()
        assert one.holds()
        with two.claim("work") as others:
            assert not others
        cut()
        with two.claim("work") as others:
            assert others
            assert not one.holds()
    with two.claim("work") as others:
        assert others


def test_a_database_that_says_nothing_is_an_outage(
    database: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    del database
    url = str(settings().optuna_storage).replace("postgresql", "postgresql+psycopg2", 1)
    engine = create_engine(url, **engine_options())
    monkeypatch.setattr("components.tune.database.ANSWER_SECONDS", 0.2)
    with (
        engine.connect() as connection,
        pytest.raises(UnavailableError, match=r"no answer within 0\.2 s"),
        database_must_answer(),
    ):
        connection.execute(text("SELECT pg_sleep(9)"))
