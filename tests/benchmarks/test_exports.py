"""The benchmark of exported formats, for three of them."""

from pathlib import Path

import pytest

from benchmarks import exports
from benchmarks.setting import Setting
from tests.records import prepared, random_split


def test_size_start_memory_and_speed_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {"train": random_split(300), "validation": random_split(20, seed=1)}
    prepared(tmp_path / "development", splits)
    prepared(tmp_path / "test", {"test": random_split(20, seed=2)})
    monkeypatch.setattr(
        exports, "WAYS", (("best", "litert", False), ("fast", "litert", False), ("fast", "litert", True))
    )
    setting = Setting(tmp_path, "digits", tmp_path / "development", tmp_path / "test", quick=True)

    result = exports.measure(setting, {})

    assert [row[0] for row in result.rows] == ["best, litert", "fast, litert", "fast, litert, int8"]
    assert float(result.rows[2][1]) < float(result.rows[1][1]) / 2
    for own in result.figures.values():
        assert len(own) == exports.QUICK_ROUNDS
        assert own[0]["memory"] > 10 * 2**20
        assert all(value > 0 for value in own[0].values())
