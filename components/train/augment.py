"""Random distortions of the training images, as part of the compiled training step."""

import itertools
import math
from typing import Any

import tensorflow as tf
from keras import ops

from components.common.data.dataset import IMAGE_SHAPE

MAX_ROTATION = math.radians(10)
MAX_ZOOM = 0.1
MAX_SHEAR = 0.1
MAX_SHIFT = 1.5


def augment(images: tf.Tensor, augmentation: str, seed: tf.Tensor) -> tf.Tensor:
    """Distort each image by random amounts; equal seeds give equal amounts.

    Args:
        images: uint8, B x 28 x 28.
        augmentation: One of `TrainConfig.augmentation`.
        seed: Two integers.

    Returns:
        uint8, B x 28 x 28.
    """
    return {"none": _unchanged, "shift": _shifted, "affine": _distorted}[augmentation](images, seed)


def _unchanged(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    del seed
    return images


def _shifted(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Move each ninth of the batch by another of the nine steps of -1, 0 or 1 pixel a side.

    The batches are in random order, so each image moves at random. Pixels that leave the image enter again at the
    opposite border.
    """
    del seed
    steps = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    bounds = [images.shape[0] * number // len(steps) for number in range(len(steps) + 1)]
    parts = [images[begin:end] for begin, end in itertools.pairwise(bounds)]
    return tf.concat([tf.roll(part, step, (1, 2)) for part, step in zip(parts, steps, strict=True)], 0)


def _distorted(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Rotate, zoom, shear and shift each image, with bilinear interpolation."""
    count, size = images.shape[0], IMAGE_SHAPE[0]
    uniform = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
    angle, zoom_x, zoom_y = uniform[0] * MAX_ROTATION, 1 + uniform[1] * MAX_ZOOM, 1 + uniform[2] * MAX_ZOOM
    cos, sin = tf.cos(angle), tf.sin(angle)
    centre = (size - 1) / 2
    shear = uniform[5] * MAX_SHEAR
    a, d = cos * zoom_x, sin * zoom_x
    b, e = shear * a - sin * zoom_y, shear * d + cos * zoom_y
    c: Any = centre * (1 - a - b) + uniform[3] * MAX_SHIFT
    f: Any = centre * (1 - d - e) + uniform[4] * MAX_SHIFT
    zero = tf.zeros_like(a)
    distorted = ops.image.affine_transform(
        images[..., None],
        tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        interpolation="bilinear",
        fill_mode="constant",
        fill_value=0.0,
        data_format="channels_last",
    )
    return distorted[..., 0]
