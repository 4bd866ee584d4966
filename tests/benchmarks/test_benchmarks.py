"""The machinery of the benchmarks, and one whole benchmark on the bundled digits."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as bench
from benchmarks.data_size import tile
from benchmarks.prepare import prepare
from benchmarks.process import call
from benchmarks.setting import Benchmark, Floor, Result, Results, Setting
from components.common.data.dataset import open_split


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return prepare(tmp_path_factory.mktemp("prepared"), "digits")


def fake(calls: list[str], name: str, *, fail: bool = False) -> Benchmark:
    def measure(_: Setting, results: Results) -> Result:
        calls.append(name)
        if fail:
            raise ValueError("no such luck")
        floor = Floor("speed", 3.0, 2.0)
        return Result(name, f"after {len(results)}", ["a", "b"], [["1", "2"]], [floor])

    return measure


def test_call_measures_a_fresh_process() -> None:
    ended = call("operator:add", 2, 3)
    assert ended.value == 5
    assert ended.seconds > 0
    assert ended.processor_seconds > 0
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        call("operator:truediv", 1, 0)


def test_call_measures_anonymous_memory() -> None:
    assert call("tests.benchmarks.blocks:hold", 64).anonymous_bytes > 64 * 2**20


def test_floor() -> None:
    assert Floor("x", 2.0, 2.0).met
    assert not Floor("x", 1.9, 2.0).met
    assert Floor("x", 1.9, 2.0, at_least=False).met
    assert not Floor("x", 2.1, 2.0, at_least=False).met


def test_results_are_kept_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    page = tmp_path / "benchmarks.md"
    monkeypatch.setattr(bench, "prepare", lambda work, _: (work, work))
    monkeypatch.setattr(
        bench, "BENCHMARKS", {"one": fake(calls, "one"), "two": fake(calls, "two", fail=True)}
    )
    assert bench.main(["--quick", "-o", str(page)]) == 1
    assert list(json.loads(page.with_suffix(".json").read_text())["results"]) == ["one"]
    monkeypatch.setattr(bench, "BENCHMARKS", {"one": fake(calls, "one"), "two": fake(calls, "two")})
    assert bench.main(["--quick", "--resume", "-o", str(page)]) == 0
    assert calls == ["one", "two", "two"]
    text = page.read_text()
    assert "| speed | 3 | at least 2 | not judged |" in text
    assert "## two" in text
    assert "after 1" in text


def test_missed_floor_fails_a_full_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = Result("one", "", ["a"], [["1"]], [Floor("speed", 1.0, 2.0)])
    monkeypatch.setattr(bench, "prepare", lambda work, _: (work, work))
    monkeypatch.setattr(bench, "BENCHMARKS", {"one": lambda *_: result})
    assert bench.main(["-o", str(tmp_path / "benchmarks.md")]) == 1
    assert "| speed | 1 | at least 2 | **missed** |" in (tmp_path / "benchmarks.md").read_text()


def test_tiled_data(digits: tuple[Path, Path], tmp_path: Path) -> None:
    tile(digits[0], tmp_path / "larger", 3)
    train, larger = open_split(digits[0], "train"), open_split(tmp_path / "larger", "train")
    np.testing.assert_array_equal(larger.images, np.concatenate([train.images] * 3))
    np.testing.assert_array_equal(larger.labels, np.concatenate([train.labels] * 3))
