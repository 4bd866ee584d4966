from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from components.common.data.dataset import Split
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.evaluate import calibration
from components.evaluate.calibration import (
    TEMPERATURES,
    Reliability,
    apply_temperature,
    fit_temperature,
    measure_reliability,
)


@pytest.fixture(scope="module")
def logits() -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(0, 2, (20_000, 10))


@pytest.fixture(scope="module")
def labels(logits: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Labels drawn from the probabilities that the logits give: these are calibrated by construction."""
    gumbel = np.random.default_rng(1).gumbel(size=logits.shape)
    return np.asarray((logits + gumbel).argmax(axis=1), np.uint8)


def _probabilities(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    return softmax(logits, axis=1).astype(np.float32)  # type: ignore[no-any-return]


def test_reliability_by_hand() -> None:
    probabilities = np.zeros((4, 10), np.float32)
    probabilities[:, 0] = (0.9, 0.9, 0.7, 0.7)
    probabilities[:, 1] = 1 - probabilities[:, 0]

    scores = measure_reliability(np.array([0, 1, 0, 0], np.uint8), probabilities)

    assert [(entry.examples, entry.accuracy) for entry in scores.bins] == [(2, 1.0), (2, 0.5)]
    assert scores.ece == pytest.approx((2 * 0.3 + 2 * 0.4) / 4)
    assert scores.brier == pytest.approx((0.02 + 1.62 + 0.18 + 0.18) / 4)
    assert scores.nll == pytest.approx(-np.log([0.9, 0.1, 0.7, 0.7]).mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_finds_the_temperature_that_was_put_in(
    logits: NDArray[np.float64], labels: NDArray[np.uint8], temperature: float
) -> None:
    assert fit_temperature(labels, _probabilities(logits * temperature)) == pytest.approx(
        temperature, rel=0.03
    )


def test_the_fitted_temperature_improves_calibration_and_no_answer_changes(
    logits: NDArray[np.float64], labels: NDArray[np.uint8]
) -> None:
    overconfident = _probabilities(logits * 3)
    half = len(labels) // 2

    calibrated = apply_temperature(overconfident[half:], fit_temperature(labels[:half], overconfident[:half]))

    assert measure_reliability(labels[half:], overconfident[half:]).ece > 0.1
    assert measure_reliability(labels[half:], calibrated).ece < 0.02
    assert (calibrated.argmax(axis=1) == overconfident[half:].argmax(axis=1)).all()


def test_the_error_by_chance_is_that_of_a_calibrated_model(
    logits: NDArray[np.float64], labels: NDArray[np.uint8]
) -> None:
    parts = np.split(_probabilities(logits), 40)
    found = [measure_reliability(*part) for part in zip(np.split(labels, 40), parts, strict=True)]

    errors, expected = ([getattr(one, name) for one in found] for name in ("ece", "ece_by_chance"))
    assert np.mean(errors) == pytest.approx(np.mean(expected), rel=0.1)
    assert sum(one.miscalibrated for one in found) <= 5
    assert all(one.ece_interval[0] < 0.01 for one in found)
    overconfident = measure_reliability(labels[:500], _probabilities(logits[:500] * 3))
    assert overconfident.miscalibrated
    assert 0.05 < overconfident.ece_interval[0] < overconfident.ece < overconfident.ece_interval[1]


def test_tempering_divides_logits(logits: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(
        apply_temperature(_probabilities(logits), 2.0), _probabilities(logits / 2), atol=1e-6
    )


def test_a_model_without_a_mistake_keeps_some_doubt() -> None:
    labels = np.arange(100, dtype=np.uint8) % 10
    probabilities = apply_temperature(np.eye(10, dtype=np.float32)[labels] * 0.5 + 0.05, 1.0)

    temperature = fit_temperature(labels, probabilities)

    assert temperature > 2 * TEMPERATURES[0]
    assert 0.98 < apply_temperature(probabilities, temperature).max() < 0.9999


def test_only_a_softmax_over_a_dense_layer_can_be_calibrated(tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((28, 28), dtype="uint8"), keras.layers.Flatten(), keras.layers.Dense(10, "sigmoid")]
    keras.Sequential(layers).save(tmp_path / "model.keras")

    with pytest.raises(PipelineError, match="must end in a dense layer and a softmax"):
        Classifier(tmp_path).calibrate(2.0)


def test_a_separate_softmax_layer_is_calibrated_too(split: Split, tmp_path: Path) -> None:
    import keras

    dense, softmax = keras.layers.Dense(10), keras.layers.Softmax()
    model = keras.Sequential([keras.Input((28, 28), dtype="uint8"), keras.layers.Flatten(), dense, softmax])
    dense.set_weights([weights / 255 for weights in dense.get_weights()])
    model.save(tmp_path / "model.keras")
    classifier = Classifier(tmp_path)
    before = classifier.probabilities(split.images)

    classifier.calibrate(2.0)

    np.testing.assert_allclose(
        classifier.probabilities(split.images), apply_temperature(before, 2.0), atol=1e-5
    )


def test_many_rows_are_taken_part_by_part(
    logits: NDArray[np.float64], labels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bits stay those of all rows at once."""
    probabilities = _probabilities(logits[:1000])

    def all_results() -> tuple[Reliability, float, bytes]:
        return (
            measure_reliability(labels[:1000], probabilities),
            fit_temperature(labels[:1000], probabilities),
            apply_temperature(probabilities, 1.7).tobytes(),
        )

    at_once = all_results()
    monkeypatch.setattr(calibration, "CHUNK_VALUES", 70)

    assert all_results() == at_once
