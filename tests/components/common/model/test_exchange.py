from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.model.exchange import float32_copy, write_onnx
from components.common.model.served_model import ServedModel
from components.common.plan.training import RECIPES
from components.train.model import build_model
from tests.records import COLOUR

RANDOM = np.random.default_rng(0)


def _compared(model: keras.Model, path: Path) -> float:
    """Return the largest difference of a probability between a model in float32 and its ONNX file."""
    write_onnx(model, path)
    session = onnxruntime.InferenceSession(path)
    [taken], [given] = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape[1:]) == (
        "image",
        "tensor(uint8)",
        [*model.inputs[0].shape[1:]],
    )
    assert (given.name, given.type) == ("probabilities", "tensor(float)")

    def answers(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, {"image": images})[0]
        return found

    images = RANDOM.integers(0, 256, (9, *taken.shape[1:]), dtype=np.uint8)
    assert answers(images[:0]).shape == (0, model.outputs[0].shape[1])
    np.testing.assert_allclose(answers(images[:1]), answers(images)[:1], atol=1e-6)
    return float(np.abs(answers(images) - ServedModel(model).predict(images)).max())


def _shaken(model: keras.Model) -> keras.Model:
    """Move all weights, so that no bias and no statistic of a normalization is zero or one."""
    model.set_weights([array + RANDOM.uniform(-0.01, 0.01, array.shape) for array in model.get_weights()])
    return model


@pytest.mark.parametrize(("recipe", "spec"), [("seed", MNIST_SPEC), ("fast", COLOUR), ("best", MNIST_SPEC)])
def test_a_model_in_bfloat16_answers_in_onnx_as_its_copy_in_float32(
    recipe: str, spec: ImageSpec, tmp_path: Path
) -> None:
    model = _shaken(build_model(RECIPES[recipe].differing(precision="bfloat16"), spec))
    weights = model.get_weights()
    copy = float32_copy(model)

    assert _compared(copy, tmp_path / "model.onnx") < 1e-6
    for array, kept in zip(weights, copy.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, array)
    images = RANDOM.integers(0, 256, (9, *spec.shape), dtype=np.uint8)
    assert 1e-6 < np.abs(ServedModel(model).predict(images) - ServedModel(copy).predict(images)).max() < 2e-2


def test_a_model_of_ones_own_is_written_without_what_its_layers_do_in_training(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    image = keras.Input((16, 16), dtype="uint8", name="picture")
    x = layers.RandomTranslation(0.2, 0.2)(layers.Rescaling(1 / 255)(image)[..., None])
    x = keras.Sequential([layers.Conv2D(4, 3, activation="gelu"), layers.SpatialDropout2D(0.5)])(x)
    x = layers.GaussianNoise(0.5)(keras.ops.cast(layers.BatchNormalization()(x), "bfloat16"))
    x = layers.LayerNormalization()(layers.SeparableConv2D(4, 3, activation="silu")(x))
    probabilities = layers.Dense(3, "softmax", dtype="float32")(layers.Flatten()(x))
    keras.config.set_dtype_policy("float32")
    _shaken(keras.Model(image, probabilities)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)

    assert _compared(float32_copy(loaded), tmp_path / "model.onnx") < 1e-6


def test_a_model_that_onnx_cannot_hold_is_refused(tmp_path: Path) -> None:
    class Spectrum(layers.Layer):  # type: ignore[misc] # Keras is untyped
        def call(self, x: Any) -> Any:
            return tf.math.igamma(x, x + 1)

    chain = [layers.Rescaling(1 / 255), Spectrum(), layers.Flatten(), layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1), dtype="uint8"), *chain])
    with pytest.raises(PipelineError, match=r"^the model must be convertible to ONNX but is not \(.*Igamma"):
        write_onnx(model, tmp_path / "model.onnx")
