"""The input pipeline: shuffled, augmented batches from arrays that may be larger than memory."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.dataset import CLASSES, Split
from components.train.config import TrainConfig

if TYPE_CHECKING:
    import tensorflow as tf

EVALUATION_BATCH = 1000
MAX_ROTATION = math.radians(10)
MAX_ZOOM = 0.1
MAX_SHIFT = 1.5


def training_batches(split: Split, config: TrainConfig, epoch: int) -> "tf.data.Dataset":
    """Return one epoch of (images uint8 B x 28 x 28, one-hot labels float32 B x 10).

    Order and augmentation depend on the seed and the epoch alone, so that a training can be taken up at any epoch.
    """
    import tensorflow as tf

    order = np.random.default_rng([config.seed, epoch]).permutation(len(split.labels))
    batches = _gathered(split, order, config.batch_size)
    if config.augmentation == "none":
        return batches
    augment = {"shift": _shift_batch, "affine": _distort_images}[config.augmentation]
    seeds = tf.data.Dataset.counter().map(lambda step: tf.stack([step, config.seed * 1000 + epoch]))
    return tf.data.Dataset.zip(batches, seeds).map(lambda batch, seed: (augment(batch[0], seed), batch[1]))


def evaluation_batches(split: Split) -> "tf.data.Dataset":
    """Return the whole split once, in order, in large batches."""
    return _gathered(split, np.arange(len(split.labels)), EVALUATION_BATCH)


def _gathered(split: Split, order: "np.ndarray[Any, Any]", batch_size: int) -> "tf.data.Dataset":
    import tensorflow as tf

    def gather(rows: "np.ndarray[Any, Any]") -> tuple[Any, Any]:
        return split.images[rows], split.labels[rows]

    def read(rows: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
        images, labels = tf.numpy_function(gather, [rows], [tf.uint8, tf.uint8], stateful=False)
        images = tf.ensure_shape(images, (None, *split.images.shape[1:]))
        return images, tf.one_hot(tf.ensure_shape(labels, (None,)), CLASSES)

    return tf.data.Dataset.from_tensor_slices(order).batch(batch_size).map(read).prefetch(4)


def _shift_batch(images: "tf.Tensor", seed: "tf.Tensor") -> "tf.Tensor":
    """Move the whole batch by -1, 0 or 1 pixel a side; with `crop` the pixels that wrap around are cut off."""
    import tensorflow as tf

    offset = tf.random.stateless_uniform((2,), seed, -1, 2, tf.int32)
    return tf.roll(images, offset, axis=(1, 2))


def _distort_images(images: "tf.Tensor", seed: "tf.Tensor") -> "tf.Tensor":
    """Rotate, zoom and shift each image by its own small random amounts, with bilinear interpolation."""
    import tensorflow as tf

    count, size = tf.shape(images)[0], images.shape[1]
    uniform = tf.random.stateless_uniform((5, count), seed, -1.0, 1.0)
    angle, zoom_x, zoom_y = uniform[0] * MAX_ROTATION, 1 + uniform[1] * MAX_ZOOM, 1 + uniform[2] * MAX_ZOOM
    cos, sin = tf.cos(angle), tf.sin(angle)
    centre = (size - 1) / 2
    a, b, d, e = cos * zoom_x, -sin * zoom_y, sin * zoom_x, cos * zoom_y
    c = centre * (1 - a - b) + uniform[3] * MAX_SHIFT
    f = centre * (1 - d - e) + uniform[4] * MAX_SHIFT
    zero = tf.zeros_like(a)
    distorted = tf.raw_ops.ImageProjectiveTransformV3(
        images=images[..., None],
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=(size, size),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return distorted[..., 0]
