"""The growth of a home, and the faults that a soak draws."""

import random

import pytest

from benchmarks.reliability.soak import drawn_fault, growth


def test_growth_is_that_of_a_run() -> None:
    assert growth([100] * 150) == 0
    assert growth([1000 - 90 * number if number < 10 else 100 for number in range(150)]) == 0
    assert growth([5 * number for number in range(150)]) == pytest.approx(5, rel=0.02)
    assert growth([5 * number + (900 if number == 40 else 0) for number in range(150)]) == pytest.approx(
        5, rel=0.02
    )


def test_every_fault_is_drawn_for_both_servers() -> None:
    draw = random.Random(1)  # noqa: S311
    found = [drawn_fault(draw) for _ in range(200)]
    assert {(server, fault.mode, fault.status) for server, fault in found} >= {
        (server, mode, status)
        for server in ("store", "mlflow")
        for mode, status in (("refuse", 503), ("silent", 503), ("error", 503), ("error", 500), ("error", 429))
    }
    assert all(2 <= fault.seconds <= 20 for _, fault in found)
