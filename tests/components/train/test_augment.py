import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.train.augment import augment

OBLONG = ImageSpec(96, 64, 3, ("ring", "disc"))


def _augmented(
    images: NDArray[np.uint8], augmentation: str, seed: tuple[int, int] = (1, 2), spec: ImageSpec = MNIST_SPEC
) -> NDArray[Any]:
    """Return what becomes of images; grey ones are N x height x width."""
    grey = images.ndim == 3
    batch = tf.constant(images[..., None] if grey else images)
    distorted = np.asarray(augment(batch, augmentation, spec, tf.constant(seed)))
    return distorted[..., 0] if grey else distorted


def test_the_amounts_depend_on_the_seed_alone() -> None:
    images = _blobs(70)

    once = _augmented(images, "affine")

    np.testing.assert_array_equal(_augmented(images, "affine"), once)
    assert (_augmented(images, "affine", (1, 3)) != once).any()
    assert (_augmented(images, "affine", (2, 2)) != once).any()


def test_none_leaves_the_images_alone() -> None:
    np.testing.assert_array_equal(_augmented(_blobs(3), "none"), _blobs(3))


def _blobs(count: int) -> NDArray[np.uint8]:
    """The same bright square in the middle of every image."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 9:19, 9:19] = 250
    return images


def _centres(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return each image's centre of mass (N x 2), from the centre of the image."""
    pixels = images / images.sum(axis=(1, 2), keepdims=True)
    place = np.arange(28) - 13.5
    return np.stack([pixels.sum(axis=2) @ place, pixels.sum(axis=1) @ place], axis=1)


def test_shift_moves_each_image_by_at_most_one_pixel() -> None:
    images = _augmented(_blobs(200), "shift")

    moves = Counter(tuple(centre) for centre in _centres(images).round(6))
    assert moves.keys() == {(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)}
    assert set(moves.values()) == {22, 23}
    assert set(images.sum(axis=(1, 2)).tolist()) == {250 * 100}


def test_shift_takes_batches_of_any_size() -> None:
    assert _augmented(_blobs(1), "shift").shape == (1, 28, 28)


def test_affine_distorts_each_image_a_little() -> None:
    images = _augmented(_blobs(200), "affine")

    centres = _centres(images)
    assert (images.shape, str(images.dtype)) == ((200, 28, 28), "uint8")
    assert len(np.unique(images, axis=0)) == 200
    # 1.5 pixels, zoomed by up to 1 / 0.9.
    assert np.abs(centres).max() < 1.5 / 0.9 + 0.2
    assert np.abs(centres).max(axis=0).min() > 1
    assert np.abs(centres.mean(axis=0)).max() < 0.25
    area = images.sum(axis=(1, 2)) / (250 * 100)
    assert 0.8 < area.min() < 0.9
    assert 1.1 < area.max() < 1.25


def _tilt(bar: NDArray[np.uint8]) -> float:
    """Return the degrees between a bar and the horizontal."""
    rows, columns = np.nonzero(bar > 100)
    return math.degrees(math.atan(np.polyfit(columns, rows, deg=1)[0]))


def test_affine_rotates_up_to_ten_degrees() -> None:
    bars = np.zeros((200, 28, 28), np.uint8)
    bars[:, 13:15, 5:23] = 250

    images = _augmented(bars, "affine")

    degrees = np.array([_tilt(image) for image in images])
    assert 8 < degrees.max() < 12
    assert -12 < degrees.min() < -8
    assert abs(degrees.mean()) < 1


def test_affine_shears_up_to_a_tenth() -> None:
    """An upright bar leans by its rotation and its shear; a lying one by its rotation alone."""
    upright, lying = np.zeros((200, 28, 28), np.uint8), np.zeros((200, 28, 28), np.uint8)
    upright[:, 5:23, 13:15] = lying[:, 13:15, 5:23] = 250

    leaning = np.array([_tilt(image.T) for image in _augmented(upright, "affine")])
    rotation = np.array([_tilt(image) for image in _augmented(lying, "affine")])

    shear = np.tan(np.radians(leaning + rotation))
    # Zoom stretches the shear by up to 1.1 / 0.9.
    assert 0.08 < np.abs(shear).max() < 0.14


def _coloured_blobs(count: int) -> NDArray[np.uint8]:
    """A rectangle in the middle of every image, of another brightness in each channel."""
    images = np.zeros((count, *OBLONG.shape), np.uint8)
    images[:, 32:64, 20:44] = 60, 120, 240
    return images


def test_shift_moves_a_larger_image_further_and_its_channels_together() -> None:
    images = _augmented(_coloured_blobs(18), "shift", spec=OBLONG)

    # 64 pixels are 2.3 times 28.
    moves = Counter(
        (int(rows.min()) - 32, int(columns.min()) - 20)
        for rows, columns in (np.nonzero(image[..., 0]) for image in images)
    )
    assert moves.keys() == {(down, right) for down in (-2, 0, 2) for right in (-2, 0, 2)}
    assert {tuple(colour) for colour in images.reshape(-1, 3).tolist()} == {(0, 0, 0), (60, 120, 240)}


def test_affine_keeps_oblong_colour_images_in_place_and_in_colour() -> None:
    images = _augmented(_coloured_blobs(200), "affine", spec=OBLONG).astype(float)

    assert images.shape == (200, *OBLONG.shape)
    weights = images.sum(axis=3) / images.sum(axis=(1, 2, 3))[:, None, None]
    down = weights.sum(axis=2) @ (np.arange(96) - 47.5)
    right = weights.sum(axis=1) @ (np.arange(64) - 31.5)
    # 1.5 pixels of 28 are 3.4 of 64, zoomed by up to 1 / 0.9.
    for centre in (down, right):
        assert 2 < np.abs(centre).max() < 3.43 / 0.9 + 0.3
        assert abs(centre.mean()) < 0.6
    red, green, blue = images.mean(axis=(0, 1, 2))
    assert (green / red, blue / red) == pytest.approx((2, 4), rel=0.05)
