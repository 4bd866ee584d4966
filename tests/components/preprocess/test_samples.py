from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from components.common.data.dataset import Split
from components.preprocess.samples import draw_samples
from tests.records import COLOUR, random_split


@pytest.mark.parametrize("count", [6, 7, 4])
def test_six_images_are_drawn(tmp_path: Path, make_split: Callable[..., Split], count: int) -> None:
    split = make_split(count)
    split.images[:] = 0
    draw_samples(split, tmp_path / "samples.png")
    picture = imread(tmp_path / "samples.png")[..., :3].mean(axis=2)
    height, width = picture.shape
    for row in range(2):
        for column in range(3):
            cell = picture[
                row * height // 2 : (row + 1) * height // 2, column * width // 3 : (column + 1) * width // 3
            ]
            is_drawn = np.mean(cell < 0.1) > 0.5
            assert is_drawn == (3 * row + column < count)


def test_only_the_first_six_images_count(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    split = make_split(20)
    draw_samples(split, tmp_path / "all.png")
    draw_samples(Split(split.images[:6], split.labels[:6], split.spec), tmp_path / "six.png")
    draw_samples(Split(split.images[1:7], split.labels[1:7], split.spec), tmp_path / "others.png")
    first, six, others = (imread(tmp_path / f"{name}.png") for name in ("all", "six", "others"))
    np.testing.assert_array_equal(first, six)
    assert not np.array_equal(first, others)


def test_colour_images_are_drawn_in_colour_with_the_names_of_their_classes(tmp_path: Path) -> None:
    split = random_split(6, spec=COLOUR)
    split.images[:] = (255, 0, 0)
    draw_samples(split, tmp_path / "samples.png")
    picture = imread(tmp_path / "samples.png")[..., :3]
    red = (picture[..., 0] > 0.9) & (picture[..., 1:] < 0.1).all(axis=2)
    assert red.mean() > 0.3
