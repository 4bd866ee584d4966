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


OPTIONS = {"recipe": "seed", "epochs": 2, "batch_size": 64}


def _step(
    development: Path, target: Path, role: str = "baseline", gpu_count: int = 0, **options: Any
) -> Training:
    return train_step(
        run_plan(dataset="bands", gpu_count=gpu_count, **{**OPTIONS, **options}),
        development,
        role=role,
        overrides='{"filters": [[4]], "dense_units": 8}',
        target=target,
    )


def test_trains_without_mlflow_and_says_how_it_goes(
    development: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = _step(development, tmp_path / "model", role="tuned")

    assert Training.load(tmp_path / "model") == training
    assert (training.recipe, training.config["filters"], len(training.history)) == ("seed", [[4]], 2)
    lines = capsys.readouterr().out.splitlines()
    number = r"\d\.\d{4}"
    for epoch, line in enumerate(lines, start=1):
        assert re.fullmatch(
            rf"\[train-tuned\] epoch {epoch}/2  loss {number}  accuracy {number}  validation {number}  \d+ s left",
            line,
        )
    assert len(lines) == 2
    assert lines[-1].endswith("  0 s left")


def test_further_seeds_leave_the_model_as_it_is_and_lie_beside_it(development: Path, tmp_path: Path) -> None:
    alone = _step(development, tmp_path / "alone")
    first = _step(development, tmp_path / "model", role="tuned", seeds=3)

    assert first.weights_digest == alone.weights_digest
    assert not repeats(tmp_path / "alone")
    found = [Training.load(directory) for directory in repeats(tmp_path / "model")]
    assert [training.seed for training in found] == [1000, 2000]
    assert all(training.config == {**first.config, "seed": training.seed} for training in found)
    assert len({training.weights_digest for training in (first, *found)}) == 3
    assert _step(development, tmp_path / "again", seed=1000).weights_digest == found[0].weights_digest


def test_the_baseline_is_trained_with_one_seed(development: Path, tmp_path: Path) -> None:
    _step(development, tmp_path / "model", role="baseline", seeds=3)
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
    assert line.startswith(f"[train-baseline] error: {message}")
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
