import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.common.dataset import Split
from components.common.errors import PipelineError
from components.evaluate import predictions
from components.evaluate.calibration import temper
from components.evaluate.predictions import Classifier


def test_batches_do_not_change_the_answer(
    split: Split, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(0.6)
    at_once = Classifier(model).predict(split.images)
    monkeypatch.setattr(predictions, "BATCH_SIZE", 128)

    probabilities = Classifier(model).predict(split.images)

    assert probabilities.shape == (300, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, at_once, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_finds_the_model_below_the_directory(
    split: Split, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(make_model(0.0) / "model.keras", tmp_path / "data")

    assert (Classifier(tmp_path).predict(split.images).argmax(axis=1) == split.labels).all()


def test_a_directory_without_a_model_is_refused(split: Split, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"exactly one \.keras file but holds none"):
        Classifier(tmp_path).predict(split.images)


def test_a_damaged_model_is_refused(split: Split, make_model: Callable[..., Path], tmp_path: Path) -> None:
    whole = (make_model(0.0) / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(PipelineError, match=r"model\.keras must be a readable Keras model"):
        Classifier(tmp_path).predict(split.images)


@pytest.mark.parametrize(
    ("units", "activation", "bias", "rule"),
    [
        (
            3,
            "softmax",
            0.0,
            r"10 probabilities an image but answers 300 images with an array of shape \(300, 3\)",
        ),
        (10, "softmax", np.nan, "finite probabilities but gives NaN"),
        (10, "linear", 5.0, "must end in a softmax"),
    ],
)
def test_what_are_no_probabilities_is_refused(
    split: Split, tmp_path: Path, units: int, activation: str, bias: float, rule: str
) -> None:
    import keras

    dense = keras.layers.Dense(units, activation, bias_initializer=keras.initializers.Constant(bias))
    model = keras.Sequential([keras.Input((28, 28), dtype="uint8"), keras.layers.Flatten(), dense])
    model.save(tmp_path / "model.keras")

    with pytest.raises(PipelineError, match=rule):
        Classifier(tmp_path).predict(split.images)


def test_a_model_of_other_images_is_refused(split: Split, tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((32, 32), dtype="uint8"), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    keras.Sequential(layers).save(tmp_path / "model.keras")

    with pytest.raises(PipelineError, match="must take uint8 images N x 28 x 28"):
        Classifier(tmp_path).predict(split.images)


def test_only_a_softmax_over_a_dense_layer_can_be_calibrated(tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((28, 28), dtype="uint8"), keras.layers.Flatten(), keras.layers.Dense(10, "sigmoid")]
    keras.Sequential(layers).save(tmp_path / "model.keras")

    with pytest.raises(PipelineError, match="must end in a dense layer and a softmax"):
        Classifier(tmp_path).calibrate(2.0)


def test_a_softmax_of_its_own_is_calibrated_too(split: Split, tmp_path: Path) -> None:
    import keras

    dense, softmax = keras.layers.Dense(10), keras.layers.Softmax()
    model = keras.Sequential([keras.Input((28, 28), dtype="uint8"), keras.layers.Flatten(), dense, softmax])
    dense.set_weights([weights / 255 for weights in dense.get_weights()])
    model.save(tmp_path / "model.keras")
    classifier = Classifier(tmp_path)
    before = classifier.predict(split.images)

    classifier.calibrate(2.0)

    np.testing.assert_allclose(classifier.predict(split.images), temper(before, 2.0), atol=1e-5)
