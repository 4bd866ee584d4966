import numpy as np
import pytest

from components.evaluate.report.explanations import image_grid, of_different_classes


@pytest.mark.parametrize(("count", "cells"), [(1, 6), (6, 6), (7, 12), (12, 12)])
def test_image_grid_leaves_the_last_row_open(count: int, cells: int) -> None:
    images = np.zeros((count, 28, 28, 1), np.uint8)

    axes = image_grid(images, [str(number) for number in range(count)], columns=6).axes

    assert len(axes) == cells
    assert [len(panel.get_images()) for panel in axes] == [1] * count + [0] * (cells - count)


def test_images_keep_their_shape_and_colours() -> None:
    images = np.zeros((2, 64, 32, 3), np.uint8)
    images[:, :, :, 0] = 200

    figure = image_grid(images, ["ankle boot \N{RIGHTWARDS ARROW}\nsandal", "bag"], columns=2)

    width, height = figure.get_size_inches()
    assert height > width / 2 * 2
    (shown,) = figure.axes[0].get_images()
    assert np.asarray(shown.get_array()).shape == (64, 32, 3)
    assert (np.asarray(shown.get_array())[..., 0] == 200).all()


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ([0] * 20 + [1] * 20 + [2] * 20, [0, 1, 2, 20, 40]),
        ([7, 2, 1, 0, 4, 1, 4, 9], [0, 1, 2, 3, 4]),
        ([5, 5, 5], [0, 1, 2]),
        ([], []),
    ],
)
def test_explained_images_are_of_different_classes(labels: list[int], shown: list[int]) -> None:
    rows = np.arange(len(labels))
    assert of_different_classes(rows, np.array(labels, np.uint8)).tolist() == shown
