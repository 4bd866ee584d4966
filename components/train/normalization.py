"""Batch normalization for training: Keras's, in one kernel instead of ten operations, and its precise statistics."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

PRECISE_IMAGES = 8192
PRECISE_BATCH = 1024


class FusedBatchNormalization(layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, in far fewer passes over the values.

    The moving variance follows the unbiased variance of each batch, where Keras's follows the biased one.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize N x ... x C; in training by the batch's own mean and variance."""
        if not training:
            return super().call(inputs, training=training, mask=mask)
        grid = tf.reshape(inputs, (-1, math.prod(inputs.shape[1:-1]), 1, inputs.shape[-1]))
        gamma, beta = (tf.cast(variable, tf.float32) for variable in (self.gamma, self.beta))
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            grid, gamma, beta, epsilon=self.epsilon, is_training=True
        )
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return tf.reshape(outputs, (-1, *inputs.shape[1:]))


def set_precise_statistics(model: keras.Model, images: Any) -> None:
    """Give every batch normalization the mean and variance that its inputs have over these images.

    The moving averages of a training follow its last few batches, and these as they were distorted. (Precise batch
    normalization: Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021.)

    Args:
        model: A trained model whose normalizations are `FusedBatchNormalization`s; nothing else of it changes.
        images: uint8, N x 28 x 28, as the model will see them in use.
    """
    normalizations = [layer for layer in model.layers if isinstance(layer, FusedBatchNormalization)]
    momenta = [layer.momentum for layer in normalizations]
    for number, batch in enumerate(np.array_split(images, math.ceil(len(images) / PRECISE_BATCH))):
        for layer in normalizations:
            layer.momentum = number / (number + 1)  # the moving average is then the plain one
        model(batch, training=True)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum
