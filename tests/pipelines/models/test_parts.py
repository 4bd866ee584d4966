import numpy as np
import pytest
from scipy.ndimage import label

from pipelines.models.parts import part_sizes

RANDOM = np.random.default_rng(0)
SPIRAL = np.array([[(x * y) % 3 != 1 for x in range(60)] for y in range(40)])


@pytest.mark.parametrize(
    "strong",
    [
        np.zeros((5, 7), np.bool_),
        np.ones((5, 7), np.bool_),
        np.eye(9, dtype=np.bool_)[:, ::-1],
        SPIRAL,
        *(RANDOM.random((50, 70)) < share for share in (0.05, 0.2, 0.35, 0.5, 0.8)),
        *(RANDOM.random(shape) < 0.4 for shape in ((1, 90), (90, 1), (300, 200))),
    ],
)
def test_parts_are_those_of_scipy(strong: np.ndarray) -> None:
    parts, _ = label(strong, np.ones((3, 3)))
    assert sorted(part_sizes(strong)) == sorted(np.bincount(parts.ravel())[1:])
