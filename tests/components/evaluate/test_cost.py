from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.model.classifier import Classifier
from components.evaluate import cost
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


def test_a_slow_model_is_timed_less_often(
    make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, counts = Classifier(make_model(0.0)), []
    answer = classifier.probabilities

    def counted(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        counts.append(len(images))
        return answer(images)

    monkeypatch.setattr(classifier, "probabilities", counted)
    monkeypatch.setattr(cost, "ENOUGH", 0.0)
    monkeypatch.setattr(cost, "TIMED", ((1, 50), (256, 8)))

    # One call to warm up, and none after it would be no measurement.
    assert cost.measure_cost(classifier).latency_256 > 0
    assert counts == [1, 1, 256, 256]
