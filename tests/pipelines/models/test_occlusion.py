import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.models import occlusion
from pipelines.models.occlusion import occluded, occlusion_map


def _by_corner(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probability of two classes, of which the second is the brightness of the lower right corner."""
    bright = images[:, -2:, -2:].mean(axis=(1, 2, 3)) / 300
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


@pytest.mark.parametrize("shape", [(28, 28, 1), (30, 17, 3), (5, 40, 1)])
def test_the_map_is_where_the_answer_comes_from(shape: tuple[int, int, int]) -> None:
    image = np.zeros(shape, np.uint8)
    image[-2:, -2:] = 255
    (answer,) = _by_corner(image[None])
    found = occlusion_map(image, answer, _by_corner(occluded(image)))
    rows, columns = found.support.shape
    assert max(rows, columns) <= occlusion.SIDE
    assert (rows - 1) * found.cell < shape[0] <= rows * found.cell
    assert (columns - 1) * found.cell < shape[1] <= columns * found.cell
    assert found.support[-1, -1] == found.support.max() == 1
    assert found.support[:-3].sum() + found.support[:, :-3].sum() == 0
    assert (
        found.support[int(found.row * shape[0]) // found.cell, int(found.column * shape[1]) // found.cell]
        == 1
    )
    assert found.remaining < answer[1]


def test_an_answer_that_loses_nothing_has_an_empty_map() -> None:
    image = np.full((8, 8, 1), 7, np.uint8)
    answer = np.array([0.25, 0.75], np.float32)
    hidden = np.tile(answer, (len(occluded(image)), 1))
    assert not occlusion_map(image, answer, hidden).support.any()


def test_a_certain_answer_has_a_map() -> None:
    image = np.zeros((2, 2, 1), np.uint8)
    hidden = np.array([[1e-12, 1], [1e-12, 1], [1e-20, 1], [1e-12, 1]], np.float32)
    found = occlusion_map(image, np.array([1e-20, 1], np.float32), hidden)
    assert found.support.tolist() == [[1, 1], [0, 1]]


def test_hidden_parts_get_the_colour_of_the_paper_and_the_rest_stays() -> None:
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    image[:, :20] = 30
    copies = occluded(image)
    assert len(copies) == 14 * 14
    changed = copies != image
    assert (copies[changed] == 30).all()
    assert changed[0].sum() == 0
    assert changed[13, 6:].sum() == 0
    assert changed[:, :, 20:].any(axis=0).all()


def test_large_images_have_fewer_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occlusion, "MOST_VALUES", 20 * 28 * 28)
    assert len(occluded(np.zeros((28, 28, 1), np.uint8))) <= 20
    monkeypatch.setattr(occlusion, "MOST_VALUES", 1)
    assert len(occluded(np.zeros((28, 28, 1), np.uint8))) == 1
