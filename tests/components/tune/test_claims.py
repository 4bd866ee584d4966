import signal
import subprocess
import sys

import pytest

from components.tune.study import claims

HOLDER = """
import sys, time
from components.tune.study import claims
with claims().claim("work") as mine:
    print(mine, flush=True)
    time.sleep(60)
"""

pytestmark = pytest.mark.usefixtures("any_storage")


def test_a_claim_excludes_others_until_it_is_let_go() -> None:
    one, two = claims(), claims()

    with one.claim("work") as mine:
        assert one.holds()
        with two.claim("work") as others, two.claim("other work") as free:
            assert (mine, others, free) == (True, False, True)
    with two.claim("work") as others:
        assert others


def test_an_error_lets_go() -> None:
    one, two = claims(), claims()
    with pytest.raises(ValueError, match="wrong"), one.claim("work"):
        raise ValueError("wrong")
    with two.claim("work") as mine:
        assert mine


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
