"""The check of GPUs, on a machine without one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.gpu_check import Check, Row
from benchmarks.process import Call
from tests.records import prepared, random_split

NO_GPU = {"gpus": [], "versions": "TensorFlow 2"}


@pytest.fixture
def check(tmp_path: Path) -> Check:
    prepared(tmp_path / "dev", {"train": random_split(320), "validation": random_split(20, seed=1)})
    return Check(tmp_path, tmp_path / "dev", tmp_path / "test", quick=True)


def test_a_training_is_killed_after_a_checkpoint_and_resumed(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ask(_: Check, *arguments: str) -> Call:
        asked.append(arguments)
        return Call("a" * 64, seconds=1.0, anonymous_bytes=0, processor_seconds=1.0)

    monkeypatch.setattr(Check, "ask", ask)

    trained, (killed, again) = gpu_check._reproducible(check)

    assert trained == ("two trainings", "the same weights, aaaaaaaaaaaa")
    assert int(killed.removeprefix("killed by SIGKILL, resumed at step ")) > 0
    assert again == "the same weights"
    assert list(Path(asked[-1][-1]).glob("*.npz"))
    assert not Path(asked[-1][-2]).exists()


def test_other_weights_fail_the_part(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = iter(("a" * 64, "b" * 64))
    monkeypatch.setattr(Check, "ask", lambda *_: Call(next(weights), 1.0, 0, 1.0))

    with pytest.raises(RuntimeError, match="two trainings gave the weights aaaaaaaaaaaa and bbbbbbbbbbbb"):
        list(gpu_check._reproducible(check))


def test_a_slow_part_ends_at_its_deadline(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(given: Check) -> Iterator[Row]:
        yield "before", "1"
        given.ask("time:sleep", 60)

    monkeypatch.setitem(gpu_check.PARTS, "inference", (slow, 1))
    failed: list[str] = []

    rows = list(gpu_check._found("inference", check, failed))

    assert failed == ["inference"]
    assert rows[0] == ("before", "1")
    assert rows[1][1].startswith("time:sleep must end within ")


def test_a_page_without_a_gpu_claims_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Check) -> Iterator[Row]:
        raise RuntimeError("a traceback\nno such | luck")

    found = iter((("batch 1", "7 images/s"),))
    monkeypatch.setattr(gpu_check, "PARTS", {"inference": (lambda _: found, 9), "broken": (fail, 9)})
    monkeypatch.setattr(gpu_check, "prepare", lambda work, *_, **__: (work, work))
    answer = Call(NO_GPU, seconds=1.0, anonymous_bytes=0, processor_seconds=1.0)
    monkeypatch.setattr(gpu_check, "call", lambda *_, **__: answer)
    target = tmp_path / "page.md"

    assert gpu_check.main(["-o", str(target)]) == 1
    assert "must see a GPU but sees none" in capsys.readouterr().err
    assert not target.exists()
    assert gpu_check.main(["--quick", "-o", str(target)]) == 1

    text = target.read_text()
    assert text.startswith("# GPU check without a GPU, on ")
    assert "**A quick check" in text
    assert "| inference | batch 1 | 7 images/s |\n| broken | failed | no such / luck |\n" in text
    assert f"wrote {target}; failed: broken" in capsys.readouterr().out


def test_the_parts_take_less_than_eight_minutes_together() -> None:
    assert 2 * gpu_check.PREPARATION + sum(budget for _, budget in gpu_check.PARTS.values()) < 8 * 60
