from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from components.train.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (3, 3, 4, 8)])
def test_an_orthogonal_step_has_singular_values_near_one(shape: tuple[int, ...]) -> None:
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    step = np.asarray(orthogonal(keras.ops.convert_to_tensor(kernel))).reshape(-1, shape[-1])

    rows, columns = step.shape
    values = np.linalg.svd(step / max(1, rows / columns) ** 0.5, compute_uv=False)
    assert values.min() > 0.5
    assert values.max() < 1.3


def _step(variables: list[keras.Variable], gradients: list[float]) -> list[NDArray[Any]]:
    before = [variable.numpy() for variable in variables]
    optimizer = Muon(learning_rate=0.1, adam_factor=0.5)
    optimizer.apply(
        [
            np.full(variable.shape, gradient, np.float32)
            for variable, gradient in zip(variables, gradients, strict=True)
        ],
        variables,
    )
    return [old - variable.numpy() for old, variable in zip(before, variables, strict=True)]


def test_hidden_kernels_take_orthogonal_steps_and_everything_else_adams() -> None:
    shapes = [(3, 3, 1, 4), (4,), (6, 2), (2,), (2, 10)]
    variables = [keras.Variable(np.ones(shape, np.float32)) for shape in shapes]

    moved = _step(variables, [2.0, -3.0, 5.0, 0.5, 1.0])

    for index, sign in ((0, 1), (1, -1), (3, 1), (4, 1)):
        np.testing.assert_allclose(moved[index], sign * 0.05, rtol=1e-4)
    # One singular value, about 1, times sqrt(6 / 2), spread over the six times two entries.
    assert np.ptp(moved[2]) < 1e-6
    assert 0.7 < np.linalg.norm(moved[2]) / (0.1 * 3**0.5) < 1.3
