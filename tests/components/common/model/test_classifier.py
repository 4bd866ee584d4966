import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.served_model import BATCH_SIZE, ServedModel
from tests.records import COLOUR, dataset_info, lineage, training_record

if TYPE_CHECKING:
    import keras

MakeModel = Callable[..., "keras.Model"]
IMAGES = np.random.default_rng(0).integers(0, 256, (2 * BATCH_SIZE + 3, 28, 28, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def make_model() -> MakeModel:
    """A linear model of fixed weights, of any kind of output and size of image; the shape may lack the channels."""

    def make(
        units: int = 10, activation: str = "softmax", bias: float = 0.0, shape: tuple[int, ...] = (28, 28, 1)
    ) -> "keras.Model":
        import keras

        keras.utils.set_random_seed(1)
        layers = keras.layers
        dense = layers.Dense(units, activation, bias_initializer=keras.initializers.Constant(bias))
        inputs = keras.Input(shape, dtype="uint8")
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
        (IMAGES.astype(np.float32), rf"but are \({len(IMAGES)}, 28, 28, 1\) of float32"),
        (IMAGES[:, :14], rf"but are \({len(IMAGES)}, 14, 28, 1\) of uint8"),
        ({"image": IMAGES[0]}, r"but are \(28, 28, 1\) of uint8"),
    ],
)
def test_other_images_are_refused_in_one_short_line(
    make_model: MakeModel, images: object, ending: str
) -> None:
    with pytest.raises(ValueError, match=rf"^images must be N x 28 x 28 x 1 of type uint8 {ending}$"):
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
    make_model(shape=(32, 32, 3)).save(tmp_path / "model.keras")
    with pytest.raises(PipelineError, match="must take uint8 images N x 32 x 32 x 3 but does not"):
        Classifier(tmp_path).probabilities(IMAGES[:4])


def test_a_model_without_a_record_numbers_its_classes(make_model: MakeModel, tmp_path: Path) -> None:
    make_model(3, shape=(16, 8, 3)).save(tmp_path / "model.keras")
    assert Classifier(tmp_path).spec == ImageSpec(16, 8, 3, ("0", "1", "2"))


@pytest.mark.parametrize("shape", [(28, 28, 1), (28, 28)])
def test_a_model_of_ten_classes_of_mnists_size_takes_digits(
    make_model: MakeModel, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    make_model(shape=shape).save(tmp_path / "model.keras")
    assert Classifier(tmp_path).spec == MNIST_SPEC


def test_the_record_of_a_training_names_the_classes(make_model: MakeModel, tmp_path: Path) -> None:
    make_model(3, shape=COLOUR.shape).save(tmp_path / "model.keras")
    training_record(dataset=dataset_info(spec=COLOUR)).save(tmp_path)
    assert Classifier(tmp_path).spec == COLOUR


def test_the_lineage_of_a_version_names_the_classes(make_model: MakeModel, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    make_model(3, shape=COLOUR.shape).save(tmp_path / "data" / "model.keras")
    lineage("colours-cnn", "run", spec=COLOUR).save(tmp_path / "lineage")
    assert Classifier(tmp_path).spec == COLOUR


def test_a_record_of_another_model_is_refused(make_model: MakeModel, tmp_path: Path) -> None:
    make_model(4, shape=COLOUR.shape).save(tmp_path / "model.keras")
    training_record(dataset=dataset_info(spec=COLOUR)).save(tmp_path)
    with pytest.raises(PipelineError, match=r"of its record, .* in 3 classes, but takes .* in 4 classes"):
        Classifier(tmp_path)


def test_a_model_of_images_without_channels_takes_them_with_and_without(
    make_model: MakeModel, tmp_path: Path
) -> None:
    make_model(shape=(28, 28)).save(tmp_path / "model.keras")
    classifier = Classifier(tmp_path)
    with_channels = classifier.probabilities(IMAGES[:5])
    np.testing.assert_array_equal(classifier.probabilities(IMAGES[:5, ..., 0]), with_channels)
    np.testing.assert_allclose(with_channels, make_model().predict(IMAGES[:5], verbose=0), atol=1e-6)


def test_a_model_of_no_images_is_refused(make_model: MakeModel, tmp_path: Path) -> None:
    make_model(shape=(5,)).save(tmp_path / "model.keras")
    with pytest.raises(PipelineError, match="must take images, N x height x width x channels"):
        Classifier(tmp_path)


def test_a_batch_of_large_images_is_small(make_model: MakeModel) -> None:
    sizes = {
        shape: ServedModel(make_model(2, shape=shape)).batch_size for shape in ((28, 28, 1), (224, 224, 3))
    }
    assert sizes == {(28, 28, 1): BATCH_SIZE, (224, 224, 3): 13}
