import json
from pathlib import Path
from typing import Any, Literal
from zipfile import ZipFile

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from components.common.data.spec import MNIST_SPEC
from components.common.model.classifier import Classifier
from components.common.plan.training import TrainConfig
from components.evaluate.calibration import apply_temperature
from components.train.model import build_model

IMAGES = np.random.default_rng(0).integers(0, 256, (5, *MNIST_SPEC.shape), dtype=np.uint8)


def _answer(model: keras.Model, images: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(model(images))


def _tutorial() -> keras.Model:
    """The tutorial's model, layer by layer as it is printed there."""
    return keras.Sequential(
        [
            keras.Input(MNIST_SPEC.shape),
            layers.Conv2D(32, (3, 3), activation="relu", kernel_initializer="glorot_uniform"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def test_five_views_are_averaged_by_logits_in_a_model_of_kerass_own_layers(tmp_path: Path) -> None:
    config = TrainConfig(filters=((4,),), dense_units=8)
    one, five = build_model(config, MNIST_SPEC), build_model(config.differing(views=5), MNIST_SPEC)
    five.set_weights(one.get_weights())
    moves = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    logs = np.mean([np.log(_answer(one, np.roll(IMAGES, move, (1, 2)))) for move in moves], axis=0)
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)

    np.testing.assert_allclose(_answer(five, IMAGES), expected, atol=1e-6)
    five.save(tmp_path / "model.keras")
    np.testing.assert_allclose(
        _answer(keras.saving.load_model(tmp_path / "model.keras", compile=False), IMAGES), expected, atol=1e-6
    )
    classifier = Classifier(tmp_path)
    classifier.calibrate(2.0)
    np.testing.assert_allclose(classifier.probabilities(IMAGES), apply_temperature(expected, 2.0), atol=1e-6)


def test_the_seed_recipe_builds_the_tutorials_model() -> None:
    keras.utils.set_random_seed(1)
    model = build_model(TrainConfig(), MNIST_SPEC)
    keras.utils.set_random_seed(1)
    tutorial = _tutorial()

    assert model.count_params() == tutorial.count_params() == 93_322
    for ours, theirs in zip(model.get_weights(), tutorial.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    scaled = IMAGES.astype("float32") / 255
    np.testing.assert_allclose(_answer(model, IMAGES), _answer(tutorial, scaled), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 93_322),
        ({"filters": ((8,),)}, 346_906),
        ({"filters": ((16,), (32,))}, 253_322),
        ({"filters": ((16, 16), (32,))}, 16 * 10 + 16 * 145 + 32 * 145 + 64 * (10 * 10 * 32 + 1) + 650),
        ({"dense_units": 128}, 130_890),
        ({"dropout": 0.5}, 93_322),
        # Scale, offset, mean and variance of each filter and hidden unit, in place of its bias.
        ({"batch_norm": True}, 93_322 + 3 * 224),
        # 28 and 26 pixels both end as 3 x 3, 24 pixels as 2 x 2.
        ({"crop": 1}, 93_322),
        ({"crop": 2}, 72_842),
        ({"crop": 2, "filters": ((1,), (1,), (1,)), "dense_units": 1}, 10 + 10 + 10 + 5 + 20),
        ({"precision": "auto"}, 93_322),
        ({"precision": "bfloat16", "batch_norm": True, "dropout": 0.1}, 93_322 + 3 * 224),
    ],
    ids=str,
)
def test_every_option_gives_probabilities(options: dict[str, Any], parameters: int) -> None:
    model = build_model(TrainConfig(**options), MNIST_SPEC)

    probabilities = _answer(model, IMAGES)

    assert model.count_params() == parameters
    assert (model.input_shape, model.inputs[0].dtype) == ((None, *MNIST_SPEC.shape), "uint8")
    assert (probabilities.shape, str(probabilities.dtype)) == ((5, 10), "float32")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_for_training_is_the_same_model(precision: Literal["float32", "bfloat16"]) -> None:
    """The fused kernel corrects the moving variance, by 1 in the 3 x 3 x 5 values of a channel at the least."""
    config = TrainConfig(filters=((4,), (4,)), batch_norm=True, precision=precision)
    plain, fast = build_model(config, MNIST_SPEC), build_model(config, MNIST_SPEC, for_training=True)
    fast.set_weights(plain.get_weights())

    exact = precision == "float32"
    for training in (False, True):
        found, expected = (np.asarray(model(IMAGES, training=training)) for model in (fast, plain))
        np.testing.assert_allclose(found, expected, atol=1e-5 if exact else 0.02)
    for found, expected in zip(fast.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0.25, atol=1e-5 if exact else 0.02)
    assert type(build_model(config, MNIST_SPEC).layers[3]).__module__.startswith("keras.")


@pytest.mark.parametrize("crop", [1, 2])
def test_crop_cuts_the_border_and_no_more(crop: int) -> None:
    model = build_model(TrainConfig(crop=crop, filters=((4,),)), MNIST_SPEC)
    border_changed, inside_changed = IMAGES.copy(), IMAGES.copy()
    inside = slice(crop, -crop)
    border_changed[:] = 255
    border_changed[:, inside, inside] = IMAGES[:, inside, inside]
    inside_changed[:, crop, crop] ^= 255

    answer = _answer(model, IMAGES)

    np.testing.assert_array_equal(_answer(model, border_changed), answer)
    assert (_answer(model, inside_changed) != answer).any()


def test_a_mixed_precision_model_keeps_float32_weights() -> None:
    model = build_model(TrainConfig(precision="bfloat16"), MNIST_SPEC)

    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"bfloat16", "float32"}
    assert model.layers[-1].compute_dtype == "float32"
    assert {str(weight.dtype) for weight in model.get_weights()} == {"float32"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("arguments", [{}, {"compile": False}], ids=str)
def test_a_saved_model_needs_keras_alone(precision: str, arguments: dict[str, bool], tmp_path: Path) -> None:
    config = TrainConfig(filters=((4,), (4, 4)), crop=1, batch_norm=True, dropout=0.1)
    model = build_model(config.differing(precision=precision), MNIST_SPEC)
    model.save(tmp_path / "model.keras")

    loaded = keras.models.load_model(tmp_path / "model.keras", **arguments)

    np.testing.assert_array_equal(_answer(loaded, IMAGES), _answer(model, IMAGES))
    with ZipFile(tmp_path / "model.keras") as archive:
        modules = _modules(json.loads(archive.read("config.json")))
    assert {module.partition(".")[0] for module in modules} == {"keras"}


def _modules(config: Any) -> set[str]:
    """Every module that a Keras configuration names, at any depth."""
    if isinstance(config, list):
        return set().union(*map(_modules, config))
    if not isinstance(config, dict):
        return set()
    named = {config["module"]} - {None} if "module" in config else set()
    return named.union(*map(_modules, config.values()))
