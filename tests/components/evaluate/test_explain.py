from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC
from components.common.model.classifier import Classifier
from components.common.plan.training import TrainConfig
from components.evaluate import explain
from components.evaluate.explain import convolutions, explain_predictions, first_features
from components.train.model import build_model
from tests.components.evaluate.conftest import linear_model


@pytest.fixture(scope="module")
def classifier(make_model: Callable[..., Path]) -> Classifier:
    return Classifier(make_model(0.0))


def test_points_at_what_decides(classifier: Classifier, split: Split) -> None:
    """In these images the two bright rows of the class decide, and the model weighs nothing else."""
    images, labels = split.images[:10], split.labels[:10]

    found = explain_predictions(classifier, images)

    for maps in (found.grad_cam, found.saliency):
        assert (maps.shape, maps.min() >= 0, maps.max() <= 1) == (images.shape[:3], True, True)
    for grad_cam, label in zip(found.grad_cam, labels, strict=True):
        rows = slice(2 * label, 2 * label + 2)
        assert grad_cam[rows].mean() > 0.4
        assert grad_cam.sum() == pytest.approx(grad_cam[rows].sum())


def test_first_features_are_those_of_the_first_convolution(classifier: Classifier, split: Split) -> None:
    (only,) = first_features(classifier, split.images[0])

    np.testing.assert_allclose(only, split.images[0, ..., 0] / 255, atol=1e-6)


def test_a_model_that_is_no_chain_with_convolutions_has_none(tmp_path: Path) -> None:
    import keras
    from keras import layers

    given = keras.Input((28, 28), dtype="uint8")
    image = layers.Reshape((28, 28, 1))(layers.Rescaling(1 / 255)(given))
    flat = layers.Flatten()
    branches = layers.Average()([layers.Conv2D(1, 3)(image) for _ in range(2)])
    for name, outputs in (("branched", flat(branches)), ("dense", flat(image))):
        keras.Model(given, layers.Dense(10, "softmax")(outputs)).save(tmp_path / f"{name}.keras")
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.keras").rename(tmp_path / name / "model.keras")

        assert convolutions(Classifier(tmp_path / name)) == []


def test_a_model_of_several_views_is_explained_by_one_of_them(split: Split, tmp_path: Path) -> None:
    config = TrainConfig(filters=((4,),), dense_units=8)
    one, five = build_model(config, MNIST_SPEC), build_model(config.differing(views=5), MNIST_SPEC)
    five.set_weights(one.get_weights())
    found = []
    for name, model in (("one", one), ("five", five)):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name / "model.keras")
        found.append(explain_predictions(Classifier(tmp_path / name), split.images[:2]))

    np.testing.assert_allclose(found[0].grad_cam, found[1].grad_cam, atol=1e-4)
    np.testing.assert_allclose(found[0].saliency, found[1].saliency, atol=1e-4)


@pytest.mark.parametrize("height", [12, 20])
def test_points_at_what_decides_in_colour(
    height: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The colour of one square decides, and the model weighs nothing else."""
    import keras

    kernel = np.zeros((height, 16, 3, 2), np.float32)
    kernel[2:6, 8:12, 0, 0] = kernel[2:6, 8:12, 1, 1] = 1
    layers = keras.layers
    dense = layers.Dense(2, activation="softmax")
    convolution = layers.Conv2D(3, 1)
    given = keras.Input((height, 16, 3), dtype="uint8")
    model = keras.Sequential([given, layers.Rescaling(1 / 255), convolution, layers.Flatten(), dense])
    convolution.set_weights([np.eye(3)[None, None], np.zeros(3)])
    dense.set_weights([kernel.reshape(-1, 2), np.zeros(2)])
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 50, (4, height, 16, 3), dtype=np.uint8)
    images[:, 2:6, 8:12, 0] = 200
    classifier = Classifier(tmp_path)

    found = explain_predictions(classifier, images)

    for maps in (found.grad_cam, found.saliency):
        assert maps.shape == images.shape[:3]
        square = maps[:, 2:6, 8:12]
        assert square.mean() > 0.5
        assert maps.sum() == pytest.approx(square.sum(), rel=0.05)
    assert first_features(classifier, images[0]).shape == (3, height, 16)
    monkeypatch.setattr(explain, "COPY_VALUES", 7 * images[0].size)
    np.testing.assert_allclose(explain_predictions(classifier, images).saliency, found.saliency, atol=1e-4)


def test_a_model_of_images_without_channels_is_explained_too(
    classifier: Classifier, split: Split, tmp_path: Path
) -> None:
    linear_model(0.0, MNIST_SPEC, channel_axis=False).save(tmp_path / "model.keras")
    before = Classifier(tmp_path)

    images = split.images[:3]
    found, expected = explain_predictions(before, images), explain_predictions(classifier, images)
    np.testing.assert_allclose(found.grad_cam, expected.grad_cam, atol=1e-5)
    np.testing.assert_allclose(found.saliency, expected.saliency, atol=1e-5)
    np.testing.assert_allclose(
        first_features(before, split.images[0])[0], split.images[0, ..., 0] / 255, atol=1e-6
    )
