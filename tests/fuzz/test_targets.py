"""A few drawn inputs for every fuzzed parser; `make fuzz` tries a million."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.reliability import fuzz
from benchmarks.reliability.fuzz import TARGETS, Found, attempt
from benchmarks.reliability.fuzz_target import Target
from components.ingest import decoding

EXAMPLES = 25


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_parser_takes_or_refuses_what_it_is_given(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No alarm here, and no other processes for pictures that only say that they are large.
    monkeypatch.setattr(fuzz, "CASE_SECONDS", 0)
    monkeypatch.setattr(fuzz, "CLOCK_SECONDS", 0)
    monkeypatch.setattr(decoding, "MANY_PIXELS", 2**62)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def check(random: Random) -> None:
        found = Found()
        assert not attempt(target, target.make(random), tmp_path, found)
        assert found.taken + found.refused == 1

    check()
