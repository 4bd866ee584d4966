"""Tests of the patience with outages."""

import pytest

from components.common import patience
from components.common.errors import PipelineError, UnavailableError


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)


def test_an_outage_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    outages = iter(
        [UnavailableError("the store does not answer."), UnavailableError("the store does not answer.")]
    )

    def call() -> str:
        for outage in outages:
            raise outage
        return "answer"

    assert patience.patiently("train", call, seconds=5) == "answer"
    assert capsys.readouterr().out == "[train] the store does not answer. Trying again for 5 s.\n"


def test_a_longer_outage_is_raised() -> None:
    def call() -> None:
        raise UnavailableError("the store does not answer.")

    with pytest.raises(UnavailableError, match="does not answer"):
        patience.patiently("train", call, seconds=0.05)


def test_a_mistake_is_raised_at_once() -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise PipelineError("the bucket must exist but does not: create it.")

    with pytest.raises(PipelineError):
        patience.patiently("train", call, seconds=5)
    assert calls == [1]
