from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.model.classifier import Classifier
from components.evaluate.cost import measure_cost


def test_counts_and_times_a_model(make_model: Callable[..., Path]) -> None:
    directory = make_model(0.0)

    found = measure_cost(Classifier(directory))

    assert found.parameters == 28 * 28 * 10 + 10 + 2
    assert found.size == (directory / "model.keras").stat().st_size
    # A multiplication and an addition for each weight of the dense layer; the rest is small.
    assert found.flops == pytest.approx(2 * 28 * 28 * 10, rel=0.3)
    # How the two compare depends on what else the machine does.
    assert found.latency_1 > 0
    assert found.latency_256 > 0
    assert found.machine
