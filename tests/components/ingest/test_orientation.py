"""Orientation of handwritten digits."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.spec import DIGITS, MNIST_SPEC
from components.ingest.digits import digits_form
from components.ingest.orientation import find_orientation
from tests.records import random_split

Turn = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bundled digits, of which every other one is in the comparison too, with a margin on two sides."""
    images, labels = next(digits_form().parts["train"].chunks())
    return np.pad(images[::2], ((0, 0), (6, 0), (0, 6)))[..., None], labels[::2]


@pytest.mark.parametrize(
    ("turn", "position"),
    [
        (lambda images: images, "upright"),
        (lambda images: images.swapaxes(1, 2), "transposed"),
        (lambda images: np.rot90(images, 1, (1, 2)), "rotated by 90 degrees"),
        (lambda images: np.rot90(images, 2, (1, 2)), "rotated by 180 degrees"),
        (lambda images: np.rot90(images, 3, (1, 2)), "rotated by 270 degrees"),
        (lambda images: images[:, :, ::-1], "mirrored left to right"),
        (lambda images: images[:, ::-1], "mirrored top to bottom"),
    ],
)
@pytest.mark.parametrize("inverted", [False, True])
def test_every_position_is_found(
    digits: tuple[NDArray[np.uint8], NDArray[np.int64]], turn: Turn, position: str, *, inverted: bool
) -> None:
    images, labels = digits
    turned = turn(255 - images if inverted else images)
    found = find_orientation(turned, labels, DIGITS)
    assert found is not None
    assert (found.position, found.inverted) == (position, inverted)


def test_classes_may_have_other_places(digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    images, labels = digits
    found = find_orientation(images, labels + 1, ("A", *DIGITS, "B"))
    assert found is not None
    assert found.position == "upright"


def test_other_images_are_no_digits(digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    images, labels = digits
    noise = random_split(200, spec=MNIST_SPEC)
    shuffled = np.random.default_rng(0).permutation(labels)
    assert find_orientation(noise.images, noise.labels, DIGITS) is None
    assert find_orientation(images, shuffled, DIGITS) is None
    assert find_orientation(images, labels, tuple("abcdefghij")) is None
    assert find_orientation(images[labels != 3], labels[labels != 3], DIGITS) is None
    assert find_orientation(images.repeat(3, axis=3), labels, DIGITS) is None
