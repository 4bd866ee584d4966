import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.dataset import Split, open_split, write_splits
from components.train.batches import evaluation_batches, training_batches
from components.train.config import TrainConfig

Batches = list[tuple[NDArray[np.uint8], NDArray[np.float32]]]
CONFIG = TrainConfig(batch_size=7)


def _epoch(split: Split, config: TrainConfig = CONFIG, epoch: int = 0) -> Batches:
    return list(training_batches(split, config, epoch).as_numpy_iterator())


def _images(batches: Batches) -> NDArray[np.uint8]:
    return np.concatenate([images for images, _ in batches])


def _order(split: Split, batches: Batches) -> list[int]:
    """Return where in the split each image of the batches lies."""
    place = {image.tobytes(): number for number, image in enumerate(split.images)}
    return [place[image.tobytes()] for image in _images(batches)]


def test_an_epoch_covers_every_image_once_with_its_label(make_split: Callable[..., Split]) -> None:
    split = make_split(23)

    batches = _epoch(split)

    assert [len(images) for images, _ in batches] == [7, 7, 7, 2]
    order = _order(split, batches)
    assert sorted(order) == list(range(23))
    labels = np.concatenate([labels for _, labels in batches])
    np.testing.assert_array_equal(labels, np.eye(10, dtype=np.float32)[split.labels[order]])
    assert (str(batches[0][0].dtype), str(labels.dtype)) == ("uint8", "float32")


def test_order_depends_on_seed_and_epoch_alone(make_split: Callable[..., Split]) -> None:
    split = make_split(40)
    order = _order(split, _epoch(split))

    assert order != sorted(order)
    assert _order(split, _epoch(split)) == order
    assert _order(split, _epoch(split, CONFIG.differing(batch_size=40, dropout=0.5, epochs=1))) == order
    assert _order(split, _epoch(split, epoch=1)) != order
    assert _order(split, _epoch(split, CONFIG.differing(seed=1))) != order


@pytest.mark.parametrize("augmentation", ["shift", "affine"])
def test_augmentation_depends_on_seed_and_epoch_alone(augmentation: str) -> None:
    split = _blobs(70)
    config = CONFIG.differing(augmentation=augmentation)
    images = _images(_epoch(split, config))

    np.testing.assert_array_equal(_images(_epoch(split, config)), images)
    assert (_images(_epoch(split, config, epoch=1)) != images).any()
    assert (_images(_epoch(split, config.differing(seed=1))) != images).any()


def _blobs(count: int) -> Split:
    """The same bright square in the middle of every image."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 9:19, 9:19] = 250
    return Split(images, np.zeros(count, np.uint8))


def _centres(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return each image's centre of mass (N x 2), from the centre of the image."""
    pixels = images / images.sum(axis=(1, 2), keepdims=True)
    place = np.arange(28) - 13.5
    return np.stack([pixels.sum(axis=2) @ place, pixels.sum(axis=1) @ place], axis=1)


def test_shift_moves_a_batch_by_at_most_one_pixel() -> None:
    batches = _epoch(_blobs(200), TrainConfig(augmentation="shift", batch_size=2))

    moves = set()
    for images, _ in batches:
        (move,) = {tuple(centre) for centre in _centres(images).round(6)}
        moves.add(move)

    assert moves == {(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)}
    assert {int(images.sum()) for images, _ in batches} == {2 * 250 * 100}


def test_affine_distorts_each_image_a_little() -> None:
    images = _images(_epoch(_blobs(200), TrainConfig(augmentation="affine", batch_size=50)))

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
    config = TrainConfig(augmentation="affine", batch_size=50)

    images = _images(_epoch(Split(bars, np.zeros(200, np.uint8)), config))

    degrees = np.array([_tilt(image) for image in images])
    assert 8 < degrees.max() < 12
    assert -12 < degrees.min() < -8
    assert abs(degrees.mean()) < 1


@pytest.mark.parametrize("augmentation", ["none", "shift", "affine"])
def test_reads_what_is_mapped_from_disk(
    augmentation: str, make_split: Callable[..., Split], tmp_path: Path
) -> None:
    split, config = make_split(23), CONFIG.differing(augmentation=augmentation)
    write_splits(tmp_path / "data", {"train": split}, name="", source="", version="", split_seed=0)
    mapped = open_split(tmp_path / "data", "train")
    assert not mapped.images.flags.writeable

    for found, expected in zip(_epoch(mapped, config), _epoch(split, config), strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_evaluation_reads_the_split_in_order(make_split: Callable[..., Split]) -> None:
    split = make_split(2100)

    batches: list[Any] = list(evaluation_batches(split).as_numpy_iterator())

    assert [len(images) for images, _ in batches] == [1000, 1000, 100]
    np.testing.assert_array_equal(_images(batches), split.images)
    np.testing.assert_array_equal(
        np.concatenate([labels for _, labels in batches]).argmax(axis=1), split.labels
    )
