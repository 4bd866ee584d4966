import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.served_model import BATCH_SIZE, ServedModel

if TYPE_CHECKING:
    import keras

MakeModel = Callable[..., "keras.Model"]
IMAGES = np.random.default_rng(0).integers(0, 256, (2 * BATCH_SIZE + 3, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def make_model() -> MakeModel:
    """A linear model of fixed weights, of any kind of output and size of image."""

    def make(
        units: int = 10, activation: str = "softmax", bias: float = 0.0, size: int = 28
    ) -> "keras.Model":
        import keras

        keras.utils.set_random_seed(1)
        layers = keras.layers
        dense = layers.Dense(units, activation, bias_initializer=keras.initializers.Constant(bias))
        inputs = keras.Input((size, size), dtype="uint8")
        return keras.Sequential([inputs, layers.Rescaling(1 / 255), layers.Flatten(), dense])

    return make


@pytest.fixture
def directory(make_model: MakeModel, tmp_path: Path) -> Path:
    (tmp_path / "model" / "data").mkdir(parents=True)
    make_model().save(tmp_path / "model" / "data" / "model.keras")
    return tmp_path / "model"


def test_answers_are_those_of_keras_for_every_batch_size(directory: Path, make_model: MakeModel) -> None:
    classifier = Classifier(directory)
    expected = make_model().predict(IMAGES, verbose=0)
    for count in (0, 1, BATCH_SIZE, len(IMAGES)):
        probabilities = classifier.probabilities(IMAGES[:count])
        assert probabilities.shape == (count, 10)
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, expected[:count], atol=1e-6)


def test_images_may_be_memory_mapped(directory: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    classifier = Classifier(directory)
    np.testing.assert_array_equal(classifier.probabilities(mapped), classifier.probabilities(IMAGES))


def test_one_image_is_not_worth_an_input_pipeline(make_model: MakeModel) -> None:
    model = make_model()
    served = ServedModel(model)

    def seconds(call: Callable[[], object], times: int) -> float:
        call()
        started = time.perf_counter()
        for _ in range(times):
            call()
        return (time.perf_counter() - started) / times

    ours = seconds(lambda: served.predict(IMAGES[:1]), 50)
    keras_own = seconds(lambda: model.predict(IMAGES[:1], verbose=0), 5)
    # 300 times on a quiet machine.
    assert keras_own > 20 * ours


@pytest.mark.parametrize(
    ("images", "ending"),
    [
        (IMAGES.astype(np.float32), rf"but are \({len(IMAGES)}, 28, 28\) of float32"),
        (IMAGES[:, :14], rf"but are \({len(IMAGES)}, 14, 28\) of uint8"),
        ({"image": IMAGES[0]}, r"but are \(28, 28\) of uint8"),
    ],
)
def test_other_images_are_refused_in_one_short_line(
    make_model: MakeModel, images: object, ending: str
) -> None:
    with pytest.raises(ValueError, match=rf"^images must be N x 28 x 28 of type uint8 {ending}$"):
        ServedModel(make_model()).predict(images)  # type: ignore[arg-type]


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"exactly one \.keras file but holds none"):
        Classifier(tmp_path)


def test_a_damaged_model_is_refused(directory: Path) -> None:
    path = directory / "data" / "model.keras"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(PipelineError, match=r"model\.keras must be a readable Keras model"):
        Classifier(directory)


@pytest.mark.parametrize(
    ("units", "activation", "bias", "rule"),
    [
        (
            3,
            "softmax",
            0.0,
            r"10 probabilities per image but returns an array of shape \(4, 3\) for 4 images",
        ),
        (10, "softmax", np.nan, "finite probabilities but returns NaN"),
        (10, "linear", 5.0, "must return probabilities but its outputs are none: end the model in a softmax"),
    ],
)
def test_answers_that_are_no_probabilities_are_refused(
    make_model: MakeModel, tmp_path: Path, units: int, activation: str, bias: float, rule: str
) -> None:
    make_model(units, activation, bias).save(tmp_path / "model.keras")
    with pytest.raises(PipelineError, match=rule):
        Classifier(tmp_path).probabilities(IMAGES[:4])


def test_a_model_of_other_images_is_refused(make_model: MakeModel, tmp_path: Path) -> None:
    make_model(size=32).save(tmp_path / "model.keras")
    with pytest.raises(PipelineError, match="must take uint8 images N x 28 x 28"):
        Classifier(tmp_path).probabilities(IMAGES[:4])
