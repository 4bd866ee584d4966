import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.model.judgement import REJECT_ALL
from components.evaluate.selective import measure_selective, reject_threshold


def _answers(*confidences: float) -> NDArray[np.float32]:
    """Probabilities of class 0 with these confidences; the rest is spread."""
    probabilities = np.empty((len(confidences), 10), np.float32)
    for row, confidence in zip(probabilities, confidences, strict=True):
        row[:] = (1 - confidence) / 9
        row[0] = confidence
    return probabilities


def test_the_threshold_is_the_least_that_keeps_the_promise() -> None:
    labels, probabilities = np.zeros(5, np.uint8), _answers(0.95, 0.9, 0.8, 0.7, 0.6)
    labels[3] = 1

    assert reject_threshold(labels, probabilities) == pytest.approx(0.8)


def test_equal_confidences_are_accepted_together_or_not_at_all() -> None:
    labels, probabilities = np.array([0, 0, 1], np.uint8), _answers(0.9, 0.8, 0.8)

    assert reject_threshold(labels, probabilities) == pytest.approx(0.9)


def test_without_a_sure_answer_everything_is_rejected() -> None:
    labels, probabilities = np.array([1, 0], np.uint8), _answers(1, 0.8)

    threshold = reject_threshold(labels, probabilities)
    found = measure_selective(labels, probabilities, threshold)

    assert threshold == REJECT_ALL
    assert "every answer is rejected" in found.stated
    assert (found.accepted, found.accepted_errors, found.accepted_interval) == (0, 0, None)


def test_coverage_and_accuracy() -> None:
    labels, probabilities = np.array([0, 0, 1, 0], np.uint8), _answers(0.6, 0.9, 0.7, 0.8)

    found = measure_selective(labels, probabilities, threshold=0.65)

    assert found.coverage == [0.25, 0.5, 0.75, 1.0]
    assert found.accuracy == pytest.approx([1, 1, 2 / 3, 3 / 4])
    assert (found.threshold_coverage, found.accepted, found.accepted_errors) == (0.75, 3, 1)


def test_the_thresholds_own_point_is_on_the_curve() -> None:
    confidences = np.linspace(0.2, 0.99, 1000)
    labels, probabilities = np.zeros(1000, np.uint8), _answers(*confidences)

    for threshold in (0.5, 0.501, 0.502):
        found = measure_selective(labels, probabilities, threshold)
        assert found.threshold_coverage in found.coverage
