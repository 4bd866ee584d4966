"""Batch normalization for training: a layer of one kernel, and precise statistics."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

PRECISE_IMAGES = 8192


class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's `BatchNormalization` in one kernel instead of ten operations, with the same weights.

    The moving variance follows the unbiased variance of each batch; in Keras it follows the biased one.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize an array of N x ... x C; in training by the mean and variance of the batch."""
        if not training:
            return super().call(inputs, training=training, mask=mask)
        grid = tf.reshape(inputs, (-1, math.prod(inputs.shape[1:-1]), 1, inputs.shape[-1]))
        gamma, beta = (tf.cast(variable, tf.float32) for variable in (self.gamma, self.beta))
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=grid, scale=gamma, offset=beta, mean=[], variance=[], epsilon=self.epsilon, is_training=True
        )
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return tf.reshape(outputs, (-1, *inputs.shape[1:]))


def set_precise_statistics(model: keras.Model, images: Any, batch_size: int) -> None:
    """Give every batch normalization the mean and variance of its inputs over these images.

    The moving averages of a training follow its last batches, whose images are distorted. See Wu and Johnson,
    Rethinking "Batch" in BatchNorm, 2021.

    Args:
        model: A trained model whose normalizations are `FusedBatchNormalization`s. Nothing else in it changes.
        images: uint8, N x height x width x channels, not distorted.
        batch_size: Images that are computed at a time.
    """
    normalizations = [layer for layer in model.layers if isinstance(layer, FusedBatchNormalization)]
    momenta = [layer.momentum for layer in normalizations]
    for number, batch in enumerate(np.array_split(images, math.ceil(len(images) / batch_size))):
        for layer in normalizations:
            # With this momentum the moving average is the mean over all batches so far.
            layer.momentum = number / (number + 1)
        model(batch, training=True)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum
