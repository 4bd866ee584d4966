"""What the benchmark of the commands counts."""

import re

import pytest

from benchmarks.commands import answer, every_command, timed


def test_commands_of_every_depth_are_measured() -> None:
    assert {(), ("run",), ("models",), ("models", "diff"), ("schedule", "set")} <= set(every_command())


def test_a_command_has_its_seconds_and_its_imports() -> None:
    (timing,) = timed([("models", "--help")], 2)
    assert len(timing.seconds) == 2
    assert min(timing.seconds) > 0
    assert re.fullmatch(r"(\w+ \d+, ){3}\w+ \d+", timing.imports)
    with pytest.raises(RuntimeError, match="models lost failed"):
        answer(("models", "lost"))
