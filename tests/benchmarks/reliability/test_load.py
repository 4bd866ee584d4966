"""The load programme on a small scale."""

from pathlib import Path

import pytest

from benchmarks.reliability.load import search_without_training


def test_trials_are_scored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", "set by the programme")
    found = search_without_training(str(tmp_path), 8)
    assert (found["missing"], found["twice"]) == (0, 0)
