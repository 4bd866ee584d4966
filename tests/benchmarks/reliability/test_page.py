"""The page of the reliability programmes."""

from pathlib import Path

import pytest

from benchmarks.reliability.page import DOCS, PREFIX, reliability_page
from benchmarks.reliability.record import write_record


def test_the_page_is_that_of_the_figures() -> None:
    assert (DOCS / "reliability.md").read_text() == reliability_page(DOCS)


def test_a_record_becomes_a_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    floors = [{"floor": "wrong: 0", "measured": "1", "met": False}]
    status = write_record(
        tmp_path / f"{PREFIX}faults.json",
        title="Faults",
        explanation="One cell.",
        rows=[{"fault": "kill", "train": "wrong"}],
        floors=floors,
        command="make faults",
        not_run=["disk full: no right to mount"],
    )
    assert status == 1
    assert "MISSED wrong: 0" in capsys.readouterr().out
    page = reliability_page(tmp_path)
    assert "| wrong: 0 | 1 | **missed** |" in page
    assert "| kill | wrong |" in page
    assert "- disk full: no right to mount" in page
    assert "`soak` (`make soak`)" in page
