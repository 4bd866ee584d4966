import re
from pathlib import Path
from typing import Any

import pytest

from components.common.model.training_record import Epoch, Training, repeats
from components.common.plan.training import TrainConfig
from components.common.tracking.run import StepRun
from components.train.step import narrator, train_step
from tests.records import prepared, random_split, run_plan

pytestmark = pytest.mark.usefixtures("untracked")


@pytest.fixture
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


OPTIONS = {"recipe": "seed", "epochs": 2, "batch_size": 64, "filters": [[4]], "dense_units": 8}


def _step(development: Path, target: Path, gpu_count: int = 0, **options: Any) -> Training:
    plan = run_plan(dataset="bands", gpu_count=gpu_count, **{**OPTIONS, **options})
    return train_step(plan, development, target)


def test_trains_without_mlflow_and_says_how_it_goes(
    development: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = _step(development, tmp_path / "model")

    assert Training.load(tmp_path / "model") == training
    assert (training.recipe, training.config["filters"], len(training.history)) == ("seed", [[4]], 2)
    lines = capsys.readouterr().out.splitlines()
    number = r"\d\.\d{4}"
    for epoch, line in enumerate(lines, start=1):
        assert re.fullmatch(
            rf"\[train\] epoch {epoch}/2  loss {number}  accuracy {number}  validation {number}  \d+ s left",
            line,
        )
    assert len(lines) == 2
    assert lines[-1].endswith("  0 s left")


def test_the_baseline_is_trained_with_one_seed(development: Path, tmp_path: Path) -> None:
    _step(development, tmp_path / "model", seeds=3)
    assert not repeats(tmp_path / "model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 400}, "training.batch_size must be at most the 320 training images but is 400: "),
        ({"gpu_count": 99}, "the step asks for 99 GPUs but TensorFlow sees"),
    ],
)
def test_a_mistake_ends_the_process_in_one_line(
    development: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _step(development, tmp_path / "model", **changes)

    assert stopped.value.code == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"[train] error: {message}")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("epochs", "told"),
    [
        (1, [1]),
        (20, list(range(1, 21))),
        (21, [*range(2, 21, 2), 21]),
        (100, list(range(5, 101, 5))),
        (119, [*range(6, 119, 6), 119]),
    ],
)
def test_at_most_twenty_epochs_are_told_and_always_the_last(
    epochs: int, told: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(tmp_path / "data", {"train": random_split(64)})
    on_epoch = narrator("train", StepRun.untracked(), TrainConfig(epochs=epochs), tmp_path / "data")

    for number in range(1, epochs + 1):
        on_epoch(Epoch(number, 0.5, 0.9, 0.6, 0.8, 1.0))

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"[train] epoch {number}/{epochs}" for number in told]
