"""A finished baseline, a study's storage of one's own, and a search space that is quick to train."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.dataset import Split, write_splits
from components.common.trained_model import Epoch, Training
from components.train.config import TrainConfig
from components.tune.space import SEARCH_SPACE


@pytest.fixture
def config() -> TrainConfig:
    """The baseline's configuration; its filters, batch size and dense units lie outside the search space."""
    return TrainConfig(filters=((4,),), dense_units=8, batch_size=32, learning_rate=0.002, epochs=2)


@pytest.fixture
def baseline(config: TrainConfig) -> Training:
    """A record so poor that no trial is pruned for being worse."""
    history = [Epoch(1, 2.3, 0.1, 2.2, 0.01, 1.0), Epoch(2, 2.2, 0.2, 2.1, 0.02, 1.0)]
    return Training(
        recipe="seed",
        seed=0,
        config=config.model_dump(mode="json"),
        parameters=5_000,
        validation_accuracy=0.02,
        validation_loss=2.1,
        history=history,
        seconds=2.0,
        images_per_second=100.0,
        weights_digest="w",
        dataset_name="noise",
        dataset_digest="d",
        runtime={},
    )


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File that `OPTUNA_STORAGE` names."""
    path = tmp_path / "study.journal"
    monkeypatch.setenv("OPTUNA_STORAGE", str(path))
    return path


@pytest.fixture
def search_space(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the search vary the named options alone."""

    def narrow(**options: object) -> None:
        for name in list(SEARCH_SPACE):
            monkeypatch.delitem(SEARCH_SPACE, name)
        for name, values in options.items():
            monkeypatch.setitem(SEARCH_SPACE, name, values)

    return narrow


@pytest.fixture
def development(tmp_path: Path, make_split: Callable[..., Split]) -> Path:
    """160 training and 40 validation images, with nothing to learn in them."""
    directory = tmp_path / "development"
    splits = {"train": make_split(160), "validation": make_split(40, seed=1)}
    write_splits(directory, splits, name="noise", source="made up", version="1", split_seed=0)
    return directory
