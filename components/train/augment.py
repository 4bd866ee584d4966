"""Random distortions of the training images, as part of the compiled training step."""

import itertools
import math
from typing import Any

import tensorflow as tf
from keras import ops

from components.common.data.spec import ImageSpec
from components.common.plan.network import reach, scaled

MAX_ROTATION = math.radians(10)
MAX_ZOOM = 0.1
MAX_SHEAR = 0.1
# Pixels of an image of the reference size.
MAX_SHIFT = 1.5


def augment(images: tf.Tensor, augmentation: str, spec: ImageSpec, seed: tf.Tensor) -> tf.Tensor:
    """Distort each image by random amounts; equal seeds give equal amounts.

    Args:
        images: uint8, B x height x width x channels.
        augmentation: One of `TrainConfig.augmentation`.
        spec: Description of the images.
        seed: Two integers.

    Returns:
        uint8, B x height x width x channels.
    """
    return {"none": _unchanged, "shift": _shifted, "affine": _distorted}[augmentation](images, spec, seed)


def _unchanged(images: tf.Tensor, spec: ImageSpec, seed: tf.Tensor) -> tf.Tensor:
    del spec, seed
    return images


def _shifted(images: tf.Tensor, spec: ImageSpec, seed: tf.Tensor) -> tf.Tensor:
    """Move each ninth of the batch by another of the nine steps of -1, 0 or 1 times the reach a side.

    The batches are in random order, so each image moves at random. Pixels that leave the image enter again at the
    opposite border.
    """
    del seed
    step = reach(spec)
    steps = [(down, right) for down in (-step, 0, step) for right in (-step, 0, step)]
    bounds = [images.shape[0] * number // len(steps) for number in range(len(steps) + 1)]
    parts = [images[begin:end] for begin, end in itertools.pairwise(bounds)]
    return tf.concat([tf.roll(part, step, (1, 2)) for part, step in zip(parts, steps, strict=True)], 0)


def _distorted(images: tf.Tensor, spec: ImageSpec, seed: tf.Tensor) -> tf.Tensor:
    """Rotate, zoom, shear and shift each image, with bilinear interpolation."""
    count = images.shape[0]
    uniform = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
    angle, zoom_x, zoom_y = uniform[0] * MAX_ROTATION, 1 + uniform[1] * MAX_ZOOM, 1 + uniform[2] * MAX_ZOOM
    cos, sin = tf.cos(angle), tf.sin(angle)
    x, y = (spec.width - 1) / 2, (spec.height - 1) / 2
    shear = uniform[5] * MAX_SHEAR
    a, d = cos * zoom_x, sin * zoom_x
    b, e = shear * a - sin * zoom_y, shear * d + cos * zoom_y
    # In this form a square image gets the same bits whatever its side: the quotients are 1.
    shift = scaled(MAX_SHIFT, spec)
    c: Any = x * (1 - a - b * (y / x)) + uniform[3] * shift
    f: Any = y * (1 - d * (x / y) - e) + uniform[4] * shift
    zero = tf.zeros_like(a)
    return ops.image.affine_transform(
        images,
        tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        interpolation="bilinear",
        fill_mode="constant",
        fill_value=0.0,
        data_format="channels_last",
    )
