import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.dataset import Split
from components.common.trained_model import Epoch
from components.train.checkpoint import Checkpoint
from components.train.config import TrainConfig
from components.train.fit import fit
from components.train.model import build_model
from components.train.optimizer import compile_model
from components.train.weights import weights_digest

Splits = tuple[Split, Split]


def _stop_after(number: int) -> Callable[[Epoch], None]:
    def on_epoch(epoch: Epoch) -> None:
        if epoch.epoch == number:
            raise InterruptedError

    return on_epoch


@pytest.fixture(scope="module")
def interrupted(splits: Splits, random: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves that is interrupted after its first epoch."""
    directory = tmp_path_factory.mktemp("checkpoints") / "interrupted"
    with pytest.raises(InterruptedError):
        fit(*splits, random, _stop_after(1), Checkpoint(directory))
    return directory


def _killed_while_saving(directory: Path) -> None:
    (directory / "epoch-2.npz").write_bytes((directory / "epoch-1.npz").read_bytes()[:1000])
    (directory / "progress.new").write_text('{"state": "epoch-2')


def _killed_while_tidying(directory: Path) -> None:
    (directory / "epoch-0.npz").write_bytes(b"")


@pytest.mark.parametrize("damage", [lambda _: None, _killed_while_saving, _killed_while_tidying])
def test_a_resumed_training_ends_like_an_undisturbed_one(
    splits: Splits,
    random: TrainConfig,
    undisturbed: tuple[str, list[Epoch]],
    interrupted: Path,
    damage: Callable[[Path], None],
    tmp_path: Path,
) -> None:
    directory = shutil.copytree(interrupted, tmp_path / "checkpoint")
    damage(directory)
    reported: list[Epoch] = []

    model, history = fit(*splits, random, reported.append, Checkpoint(directory))

    assert weights_digest(model) == undisturbed[0]
    assert [epoch.loss for epoch in history] == [epoch.loss for epoch in undisturbed[1]]
    assert [epoch.val_accuracy for epoch in history] == [epoch.val_accuracy for epoch in undisturbed[1]]
    assert reported == history[1:]
    assert {path.name for path in directory.iterdir()} == {"epoch-2.npz", "progress.json"}


def test_a_finished_training_is_not_repeated(
    splits: Splits, random: TrainConfig, interrupted: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(interrupted, tmp_path / "checkpoint")
    reported: list[Epoch] = []

    _, history = fit(*splits, random.differing(epochs=1), reported.append, Checkpoint(directory))

    assert len(history) == 1
    assert reported == []


@pytest.mark.parametrize("leftover", [None, "epoch-1.npz", "progress.new"])
def test_without_a_finished_save_nothing_is_restored(leftover: str | None, tmp_path: Path) -> None:
    if leftover:
        (tmp_path / leftover).write_bytes(b"half")
    config = TrainConfig(filters=(1,), dense_units=1)
    model = build_model(config)
    compile_model(model, config, steps=1)
    before = weights_digest(model)

    assert Checkpoint(tmp_path).restore(model) == []

    assert weights_digest(model) == before


def test_delete_leaves_nothing(interrupted: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(interrupted, tmp_path / "checkpoint")

    Checkpoint(directory).delete()
    Checkpoint(directory).delete()

    assert list(tmp_path.iterdir()) == []
