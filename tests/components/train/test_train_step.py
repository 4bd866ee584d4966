import re
from pathlib import Path
from typing import Any

import pytest

from components.common.model.training_record import Epoch, Training, repeats
from components.common.tracking.run import StepRun
from components.train.step import narrator, train_step

pytestmark = pytest.mark.usefixtures("untracked")


@pytest.fixture
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def _step(development: Path, target: Path, **changes: Any) -> Training:
    arguments: dict[str, Any] = {
        "pipeline_run_id": "run",
        "step": "train",
        "recipe": "seed",
        "options": {"epochs": 2, "batch_size": 64, "learning_rate": 0.0, "seed": 0},
        "overrides": '{"filters": [[4]], "dense_units": 8}',
        "gpu_count": "0",
        "gpu_resource": "nvidia.com/gpu",
    }
    return train_step(development, target=target, **{**arguments, **changes})


def test_trains_without_mlflow_and_says_how_it_goes(
    development: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = _step(development, tmp_path / "model", step="train-tuned")

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
    first = _step(development, tmp_path / "model", seeds=3)

    assert first.weights_digest == alone.weights_digest
    assert not repeats(tmp_path / "alone")
    found = [Training.load(directory) for directory in repeats(tmp_path / "model")]
    assert [training.seed for training in found] == [1000, 2000]
    assert all(training.config == {**first.config, "seed": training.seed} for training in found)
    assert len({training.weights_digest for training in (first, *found)}) == 3
    options = {"epochs": 2, "batch_size": 64, "learning_rate": 0.0, "seed": 1000}
    assert _step(development, tmp_path / "again", options=options).weights_digest == found[0].weights_digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds counts the trainings, so it must be at least 1 but got 0."),
        ({"recipe": "slow"}, "recipe must be one of seed, fast, best but got 'slow'."),
        ({"overrides": '{"dropout": 2}'}, "training option dropout: input should be less than 1 but got 2."),
        (
            {"options": {"batch_size": 400}},
            "batch_size must be at most 320, the number of training images, but is 400: ",
        ),
        ({"gpu_count": "99"}, "the step asks for 99 GPUs but TensorFlow sees"),
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
    ("epochs", "shown"),
    [
        (1, [1]),
        (20, list(range(1, 21))),
        (21, [*range(2, 21, 2), 21]),
        (100, list(range(5, 101, 5))),
        (119, [*range(6, 119, 6), 119]),
    ],
)
def test_at_most_twenty_epochs_are_shown_and_always_the_last(
    epochs: int, shown: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    on_epoch = narrator("train", StepRun.untracked(), epochs, epochs)

    for number in range(1, epochs + 1):
        on_epoch(Epoch(number, 0.5, 0.9, 0.6, 0.8, 1.0))

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"[train] epoch {number}/{epochs}" for number in shown]
