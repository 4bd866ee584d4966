"""An easy ten-class problem, and a configuration that is quick to train."""

from pathlib import Path

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC
from components.common.model.training_record import Epoch, weights_digest
from components.common.plan.training import TrainConfig
from components.train.session import Session
from tests.records import prepared


def _bands(count: int, seed: int) -> Split:
    """Noisy images; class c has bright rows 2c and 2c + 1."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = generator.integers(0, 128, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 127
    return Split(images[..., None], labels, MNIST_SPEC)


@pytest.fixture(scope="session")
def splits() -> tuple[Split, Split]:
    """320 training images and 100 validation images."""
    return _bands(320, seed=0), _bands(100, seed=1)


@pytest.fixture(scope="session")
def development(splits: tuple[Split, Split], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data") / "development"
    named = dict(zip(("train", "validation"), splits, strict=True))
    prepared(directory, named, "bands")
    return directory


@pytest.fixture(scope="session")
def small() -> TrainConfig:
    """A small CNN without anything random but initialization and order."""
    return TrainConfig(filters=((8,),), dense_units=32, learning_rate=0.003, epochs=2, batch_size=32)


@pytest.fixture(scope="session")
def random(small: TrainConfig) -> TrainConfig:
    """Everything that a resumed training has to restore: dropout, batch statistics, augmentation, a schedule."""
    return small.differing(
        dropout=0.3,
        batch_norm=True,
        precise_batch_norm=True,
        augmentation="affine",
        schedule="cosine",
        warmup=0.2,
        optimizer="muon",
        learning_rate=0.03,
        compiled_loop=True,
    )


@pytest.fixture(scope="session")
def undisturbed(splits: tuple[Split, Split], random: TrainConfig) -> tuple[str, list[Epoch]]:
    """Weights digest and history of a `random` training."""
    session = Session(*splits, random)
    session.run(lambda _: None)
    return weights_digest(session.model), session.history
