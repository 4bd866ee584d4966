"""A tiny ten-class problem, and linear Keras models of chosen quality for it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.model.training_record import Epoch
from components.evaluate.champion import ChampionModel
from components.evaluate.judge import EvaluationInputs, judge_models
from components.evaluate.result import Evaluation
from tests.records import dataset_info, prepared, training_record

MakeModel = Callable[..., Path]
Judge = Callable[..., Evaluation]


def _bands(seed: int) -> Split:
    generator = np.random.default_rng(seed)
    labels = np.arange(300, dtype=np.uint8) % 10
    images = generator.integers(0, 128, (300, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 2] += 90
    return Split(images, labels)


@pytest.fixture(scope="session")
def split() -> Split:
    """300 noisy images; class c has bright rows 2c and 2c + 1."""
    return _bands(3)


@pytest.fixture(scope="session")
def development(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data whose validation split is like `split`."""
    directory = tmp_path_factory.mktemp("data") / "development"
    splits = {"train": _bands(7), "validation": _bands(8)}
    prepared(directory, splits, "bands")
    return directory


@pytest.fixture(scope="session")
def test_data(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data") / "test"
    prepared(directory, {"test": split}, "bands")
    return directory


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Write a model directory; the more noise in its weights, the worse it is."""

    def make(noise: float, validation_accuracy: float = 0.9, weights_digest: str = "") -> Path:
        directory = tmp_path_factory.mktemp("model")
        _linear_model(noise, directory / "model.keras")
        training_record(
            recipe="linear",
            seed=1,
            config={"epochs": 2, "noise": noise, "filters": [1, 2]},
            parameters=7850,
            validation_accuracy=validation_accuracy,
            validation_loss=0.5,
            history=[Epoch(1, 1.0, 0.5, 0.9, 0.6, 2.0), Epoch(2, 0.6, 0.7, 0.5, validation_accuracy, 2.0)],
            seconds=4.0,
            images_per_second=100.0,
            weights_digest=weights_digest or f"noise {noise}",
            dataset=dataset_info("bands", "d" * 64),
        ).save(directory)
        return directory

    return make


def _linear_model(noise: float, path: Path) -> None:
    import keras

    kernel = np.zeros((28, 28, 10), np.float32)
    for label in range(10):
        kernel[2 * label : 2 * label + 2, :, label] = 1
    kernel += np.random.default_rng(5).normal(0, noise, kernel.shape).astype(np.float32)
    layers = keras.layers
    dense = layers.Dense(10, activation="softmax")
    # The convolution changes nothing, but gives the explanations something to show.
    convolution = layers.Conv2D(1, 1, kernel_initializer="ones")
    model = keras.Sequential(
        [
            keras.Input((28, 28), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Reshape((28, 28, 1)),
            convolution,
            layers.Flatten(),
            dense,
        ]
    )
    dense.set_weights([kernel.reshape(784, 10) * 0.3, np.zeros(10, np.float32)])
    model.save(path)


@pytest.fixture(scope="session")
def evaluated(
    test_data: Path, development: Path, make_model: MakeModel, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Evaluation, Path]:
    """A candidate better than the champion, and the directory that the evaluation wrote."""
    target = tmp_path_factory.mktemp("evaluation") / "target"
    champion = ChampionModel("bands-cnn", "3", make_model(1.3))
    lineage = {"git sha": "0123abc", "note": "<script>alert(1)</script>"}
    models = make_model(0.8, validation_accuracy=0.7), make_model(0.6, validation_accuracy=0.8)
    calibrated = target.with_name("candidate")
    evaluation = judge_models(
        EvaluationInputs(test=test_data, development=development, baseline=models[0], tuned=models[1]),
        champion=champion,
        target=target,
        candidate_target=calibrated,
        min_accuracy=0.75,
        lineage=lineage,
    )
    return evaluation, target


@pytest.fixture
def judge(test_data: Path, development: Path) -> Judge:
    """Judge two models; write the evaluation into `out` and the candidate into `best` below a directory."""

    def judge(
        baseline: Path,
        tuned: Path,
        directory: Path,
        *,
        test: Path = test_data,
        champion: ChampionModel | None = None,
        min_accuracy: float = 0.5,
    ) -> Evaluation:
        return judge_models(
            EvaluationInputs(test=test, development=development, baseline=baseline, tuned=tuned),
            champion=champion,
            target=directory / "out",
            candidate_target=directory / "best",
            min_accuracy=min_accuracy,
            lineage={},
        )

    return judge
