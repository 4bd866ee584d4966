"""Batch normalization for training: Keras's, computed by TensorFlow's one kernel instead of ten operations."""

import math
from typing import Any

import tensorflow as tf
from keras import layers


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
