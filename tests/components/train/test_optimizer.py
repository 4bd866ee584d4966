import math
from typing import Any

import keras
import numpy as np
import pytest

from components.common.plan.training import TrainConfig
from components.train.muon import Muon
from components.train.optimizer import compile_model


def _compiled(steps: int = 10, **options: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    compile_model(model, TrainConfig(**options), steps)
    return model


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("constant", 0.0, {0: 0.5, 9: 0.5}),
        ("constant", 0.2, {0: 0.25, 1: 0.5, 2: 0.5, 9: 0.5}),
        ("linear", 0.0, {0: 0.5, 1: 0.45, 5: 0.25, 9: 0.05, 10: 0.0, 12: 0.0}),
        ("linear", 0.2, {0: 0.25, 1: 0.5, 2: 0.5, 4: 0.375, 6: 0.25, 9: 0.0625, 10: 0.0}),
        # cos(pi / 5) = (1 + sqrt(5)) / 4
        ("cosine", 0.0, {0: 0.5, 2: 0.25 + (1 + math.sqrt(5)) / 16, 5: 0.25, 10: 0.0, 12: 0.0}),
        ("cosine", 0.4, {0: 0.125, 1: 0.25, 3: 0.5, 4: 0.5, 6: 0.375, 7: 0.25, 8: 0.125, 10: 0.0}),
    ],
)
def test_learning_rate_by_step(schedule: str, warmup: float, rates: dict[int, float]) -> None:
    optimizer = _compiled(learning_rate=0.5, schedule=schedule, warmup=warmup).optimizer

    for step, rate in rates.items():
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(rate, abs=1e-6), f"step {step}"


def test_a_landing_brings_the_learning_rate_to_0_before_its_time() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    landing = compile_model(model, TrainConfig(learning_rate=0.5, schedule="linear"), 10)
    landing.assign([6, 4])

    for step, rate in {0: 0.5, 2: 0.4, 3: 0.35 * 0.75, 5: 0.25 * 0.25, 6: 0.0, 8: 0.0}.items():
        model.optimizer.iterations.assign(step)
        assert float(model.optimizer.learning_rate) == pytest.approx(rate, abs=1e-6), f"step {step}"


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 0.99])
def test_a_training_of_one_step_has_the_full_learning_rate(schedule: str, warmup: float) -> None:
    model = _compiled(steps=1, learning_rate=0.5, schedule=schedule, warmup=warmup)

    assert float(model.optimizer.learning_rate) == 0.5


def test_optimizers() -> None:
    adam, sgd = _compiled(optimizer="adam").optimizer, _compiled(optimizer="sgd").optimizer
    muon = _compiled(optimizer="muon", adam_factor=0.5).optimizer

    assert isinstance(adam, keras.optimizers.Adam)
    assert isinstance(sgd, keras.optimizers.SGD)
    assert (sgd.momentum, sgd.nesterov) == (0.9, True)
    assert isinstance(muon, Muon)
    assert muon.adam_factor == 0.5


@pytest.mark.parametrize(("smoothing", "target"), [(0.0, (1.0, 0.0)), (0.1, (0.91, 0.01))])
def test_the_loss_is_cross_entropy_with_smoothed_targets(
    smoothing: float, target: tuple[float, float]
) -> None:
    loss = _compiled(label_smoothing=smoothing).loss
    probabilities = np.array([[0.55] + 9 * [0.05]], np.float32)

    found = float(loss(np.eye(10, dtype=np.float32)[:1], probabilities))

    right, wrong = target
    assert found == pytest.approx(-right * math.log(0.55) - 9 * wrong * math.log(0.05), rel=1e-5)
