import numpy as np
import pytest

from components.evaluate.report.explanations import image_grid


@pytest.mark.parametrize(("count", "cells"), [(1, 6), (6, 6), (7, 12), (12, 12)])
def test_image_grid_leaves_the_last_row_open(count: int, cells: int) -> None:
    images = np.zeros((count, 28, 28), np.uint8)

    axes = image_grid(images, [str(number) for number in range(count)], columns=6).axes

    assert len(axes) == cells
    assert [len(panel.get_images()) for panel in axes] == [1] * count + [0] * (cells - count)
