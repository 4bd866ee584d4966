"""Tiny problems of any size and number of classes, and linear Keras models of chosen quality for them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.model.training_record import Epoch, weights_digest
from components.common.plan.run import GatePlan
from components.evaluate.champion import ChampionModel
from components.evaluate.judge import EvaluationInputs, judge_models
from components.evaluate.report import contents
from components.evaluate.result import Evaluation
from tests.records import dataset_info, prepared, training_record

if TYPE_CHECKING:
    import keras

MakeModel = Callable[..., Path]
Judge = Callable[..., Evaluation]


def image_spec(height: int, width: int, channels: int, classes: int | Sequence[str]) -> ImageSpec:
    """Describe images of any kind; classes that are given by their number have numbers for names."""
    names = map(str, range(classes)) if isinstance(classes, int) else classes
    return ImageSpec(height, width, channels, tuple(names))


def _patterns(spec: ImageSpec) -> NDArray[np.bool_]:
    """Return the bright values of each class: of MNIST's spec two rows, of others a fifth of all values."""
    if spec != MNIST_SPEC:
        return np.random.default_rng(1).random((len(spec.classes), *spec.shape)) < 0.2
    patterns = np.zeros((len(spec.classes), *spec.shape), bool)
    for label, pattern in enumerate(patterns):
        pattern[2 * label : 2 * label + 2] = True
    return patterns


def patterned(seed: int, spec: ImageSpec = MNIST_SPEC, labels: NDArray[np.integer] | None = None) -> Split:
    """Noisy images with the pattern of their class; 300 of all classes in turn where no labels are given."""
    generator = np.random.default_rng(seed)
    labels = (np.arange(300) % len(spec.classes) if labels is None else labels).astype(spec.label_type)
    images = generator.integers(0, 128, (len(labels), *spec.shape), dtype=np.uint8)
    return Split(images + 90 * _patterns(spec)[labels].astype(np.uint8), labels, spec)


@pytest.fixture(scope="session")
def split() -> Split:
    """300 noisy images; class c has bright rows 2c and 2c + 1."""
    return patterned(3)


@pytest.fixture(scope="session")
def development(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data whose validation split is like `split`."""
    directory = tmp_path_factory.mktemp("data") / "development"
    splits = {"train": patterned(7), "validation": patterned(8)}
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

    def make(
        noise: float,
        validation_accuracy: float = 0.9,
        spec: ImageSpec = MNIST_SPEC,
    ) -> Path:
        directory = tmp_path_factory.mktemp("model")
        model = linear_model(noise, spec)
        model.save(directory / "model.keras")
        training_record(
            recipe="linear",
            seed=1,
            config={"epochs": 2, "noise": noise, "filters": [1, 2]},
            parameters=model.count_params(),
            validation_accuracy=validation_accuracy,
            validation_loss=0.5,
            history=[Epoch(1, 1.0, 0.5, 0.9, 0.6, 2.0), Epoch(2, 0.6, 0.7, 0.5, validation_accuracy, 2.0)],
            seconds=4.0,
            images_per_second=100.0,
            weights_digest=weights_digest(model),
            dataset=dataset_info("bands", "d" * 64, spec=spec),
        ).save(directory)
        return directory

    return make


def linear_model(noise: float, spec: ImageSpec, *, channel_axis: bool = True) -> "keras.Model":
    """Build the model that weighs each class's pattern; without the axis as models took images before."""
    import keras

    # A training in this process may have set another.
    keras.config.set_dtype_policy("float32")
    kernel = _patterns(spec).transpose(1, 2, 3, 0).astype(np.float32)
    kernel += np.random.default_rng(5).normal(0, noise, kernel.shape).astype(np.float32)
    layers = keras.layers
    dense = layers.Dense(len(spec.classes), activation="softmax")
    # The convolution changes nothing, but gives the explanations something to show.
    convolution = layers.Conv2D(spec.channels, 1)
    model = keras.Sequential(
        [
            keras.Input(spec.shape if channel_axis else spec.shape[:2], dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Reshape(spec.shape),
            convolution,
            layers.Flatten(),
            dense,
        ]
    )
    convolution.set_weights([np.eye(spec.channels)[None, None], np.zeros(spec.channels)])
    dense.set_weights([kernel.reshape(spec.pixels, -1) * 0.3, np.zeros(len(spec.classes), np.float32)])
    return model


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
        gate=GatePlan(min_accuracy=0.75),
        lineage=lineage,
    )
    return evaluation, target


@pytest.fixture
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw accuracy, confusion matrix and mistakes alone: the others take most of the time of an evaluation."""
    monkeypatch.setattr(contents, "FIGURES", contents.FIGURES[:3])


@pytest.fixture
def judge(test_data: Path, development: Path, few_figures: None) -> Judge:
    """Judge two models; write the evaluation into `out` and the candidate into `best` below a directory."""
    del few_figures

    def judge(
        baseline: Path,
        tuned: Path,
        directory: Path,
        *,
        test: Path = test_data,
        development: Path = development,
        champion: ChampionModel | None = None,
        min_accuracy: float | None = 0.5,
    ) -> Evaluation:
        return judge_models(
            EvaluationInputs(test=test, development=development, baseline=baseline, tuned=tuned),
            champion=champion,
            target=directory / "out",
            candidate_target=directory / "best",
            gate=GatePlan(min_accuracy=min_accuracy),
            lineage={},
        )

    return judge
