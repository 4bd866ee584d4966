"""The outbox alone; `test_outage.py` has it before a server."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import requests

from components.common.tracking import outbox
from components.common.tracking.outbox import Outbox


@contextmanager
def silent() -> Iterator[Callable[[], object]]:
    """A call that a server accepts and does not answer for as long as the block lasts."""
    answered = threading.Event()
    try:
        yield lambda: answered.wait(30)
    finally:
        answered.set()


def test_calls_are_made_in_their_order_and_without_waiting_for_them() -> None:
    made: list[int] = []
    box = Outbox()
    with silent() as call:
        box.send(call)
        for number in range(3):
            box.send(partial(made.append, number))
        assert made == []
    box.close(60)
    assert made == [0, 1, 2]


def test_a_silent_server_holds_up_neither_the_work_nor_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    box = Outbox()
    with silent() as call:
        box.send(call)
        box.flush(0.01)
        # It is known to be away now: this returns at once.
        box.flush(30)
        box.send(lambda: None)
        box.close(0.05)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "[tracking] 2 records wait for MLflow, for 0.05 s without an answer",
        "[tracking] 2 records were not sent to MLflow and are lost",
    ]


def test_what_does_not_fit_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outbox, "MOST_WAITING", 2)
    made: list[int] = []
    box = Outbox()
    with silent() as call:
        box.send(call)
        for number in range(3):
            box.send(partial(made.append, number))
    box.close(60)
    assert made == [0]
    assert capsys.readouterr().out == "[tracking] 2 records were not sent to MLflow and are lost\n"


def test_an_outage_is_said_once_and_pauses_double(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []
    box = Outbox()
    failing, sent = iter(range(4)), threading.Event()

    def call() -> None:
        for _ in failing:
            raise requests.ConnectionError("refused")
        sent.set()

    monkeypatch.setattr(outbox, "LONGEST_PAUSE", 40.0)
    monkeypatch.setattr(box._closing, "wait", pauses.append)
    box.send(call)
    assert sent.wait(60)
    assert pauses == [15.0, 30.0, 40.0, 40.0]
    assert capsys.readouterr().out == (
        "[tracking] MLflow takes no records, which wait until it does: refused\n"
    )


def test_a_record_that_cannot_be_sent_holds_up_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise FileNotFoundError("report.html is gone")

    made: list[int] = []
    box = Outbox()
    box.send(fail)
    box.send(lambda: made.append(1))
    box.close(60)
    assert made == [1]
    assert capsys.readouterr().out == "[tracking] a record could not be sent: report.html is gone\n"
