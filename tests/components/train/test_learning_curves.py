import numpy as np
import pytest

from components.common.trained_model import Epoch
from components.train.figures import learning_curves


@pytest.mark.parametrize("epochs", [1, 20])
def test_both_splits_are_drawn_over_the_epochs(epochs: int) -> None:
    numbers = list(range(1, epochs + 1))
    history = [Epoch(n, 1 / n, 1 - 0.5 / n, 2 / n, 1 - 0.6 / n, 1.0) for n in numbers]

    panels = learning_curves(history).axes

    drawn = {
        (axes.get_ylabel(), line.get_label()): np.asarray(line.get_xydata()).tolist()
        for axes in panels
        for line in axes.get_lines()
    }
    assert drawn == {
        ("loss", "training"): [[n, 1 / n] for n in numbers],
        ("loss", "validation"): [[n, 2 / n] for n in numbers],
        ("accuracy", "training"): [[n, 1 - 0.5 / n] for n in numbers],
        ("accuracy", "validation"): [[n, 1 - 0.6 / n] for n in numbers],
    }
