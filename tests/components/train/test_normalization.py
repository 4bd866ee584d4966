import numpy as np
import pytest

from components.common.data.spec import MNIST_SPEC
from components.common.plan.training import TrainConfig
from components.train.model import build_model
from components.train.normalization import FusedBatchNormalization, set_precise_statistics

IMAGES = np.random.default_rng(0).integers(0, 256, (1500, *MNIST_SPEC.shape), dtype=np.uint8)


def test_precise_statistics_are_the_means_and_variances_over_the_images() -> None:
    import keras

    model = build_model(
        TrainConfig(filters=((4,), (4,)), batch_norm=True, dropout=0.5), MNIST_SPEC, for_training=True
    )
    before = [variable.numpy() for variable in model.trainable_variables]
    first = next(layer for layer in model.layers if isinstance(layer, FusedBatchNormalization))
    first.moving_mean.assign([7.0] * 4)
    inputs = np.asarray(keras.Model(model.inputs[0], first.input)(IMAGES))

    set_precise_statistics(model, IMAGES, 1000)

    mean, variance = inputs.mean((0, 1, 2)), inputs.var((0, 1, 2))
    np.testing.assert_allclose(first.moving_mean.numpy(), mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(first.moving_variance.numpy(), variance, rtol=1e-3)
    assert first.momentum == pytest.approx(0.9)
    for now, then in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(now.numpy(), then)


def test_precise_statistics_answer_single_images_as_training_answers_the_whole_batch() -> None:
    model = build_model(TrainConfig(filters=((4,), (4,)), batch_norm=True), MNIST_SPEC, for_training=True)
    images = IMAGES[:1000]

    set_precise_statistics(model, images, 1024)

    np.testing.assert_allclose(
        np.asarray(model(images, training=False)), np.asarray(model(images, training=True)), atol=1e-3
    )
