"""Sums of loss and right answers over labelled images."""

import itertools
from typing import Any

import keras
import tensorflow as tf

from components.common.data.spec import ImageSpec


class Scorer:
    """Scores a model in compiled functions.

    Args:
        model: The model to score; later changes of its weights count.
        spec: Description of the images.
        shards: Equal parts of the images that are scored side by side.
    """

    def __init__(self, model: keras.Model, spec: ImageSpec, shards: int) -> None:
        self._model, self._shards = model, shards
        self._part = tf.function(self._sums_of_part, autograph=False, reduce_retracing=True)
        self._whole = tf.function(
            self._sums_of_whole,
            autograph=False,
            input_signature=[
                tf.TensorSpec((None, *spec.shape), tf.uint8),
                tf.TensorSpec((None,), tf.as_dtype(spec.label_type)),
            ],
        )

    def sums(self, images: Any, labels: Any) -> tuple[float, float]:
        """Return the sums of cross-entropy, without label smoothing, and of right answers.

        Args:
            images: uint8, N x height x width x channels.
            labels: Places in `spec.classes`, N, of `spec.label_type`.
        """
        loss, hits = self._whole(images, labels)
        return float(loss), float(hits)

    def _sums_of_whole(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        bounds = [tf.shape(labels)[0] * shard // self._shards for shard in range(self._shards + 1)]
        results = [self._part(images[a:b], labels[a:b]) for a, b in itertools.pairwise(bounds)]
        loss, hits = (tf.add_n(values) for values in zip(*results, strict=True))
        return loss, hits

    def _sums_of_part(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        probabilities = self._model(images, training=False)
        losses = tf.keras.losses.sparse_categorical_crossentropy(labels, probabilities)
        return tf.reduce_sum(losses), tf.reduce_sum(right_answers(probabilities, labels))


def right_answers(probabilities: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return 1.0 for each image whose most probable class is its label, else 0.0.

    Args:
        probabilities: N x classes.
        labels: Places of classes, N.
    """
    return tf.cast(tf.argmax(probabilities, -1, tf.int32) == tf.cast(labels, tf.int32), tf.float32)
