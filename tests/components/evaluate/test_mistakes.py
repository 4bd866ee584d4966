import numpy as np

from components.evaluate.mistakes import Mistake, most_confident_mistakes


def _probabilities(*rows: tuple[int, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    probabilities = np.zeros((len(rows), 10), np.float32)
    for row, (predicted, confidence) in zip(probabilities, rows, strict=True):
        row[:] = (1 - confidence) / 9
        row[predicted] = confidence
    return probabilities


def test_lists_the_most_confident_first() -> None:
    labels = np.array([1, 2, 3, 4], np.uint8)
    probabilities = _probabilities((1, 0.99), (7, 0.5), (8, 0.75), (9, 0.625))

    assert most_confident_mistakes(labels, probabilities, limit=2) == [
        Mistake(index=2, truth=3, predicted=8, confidence=0.75),
        Mistake(index=3, truth=4, predicted=9, confidence=0.625),
    ]


def test_a_faultless_model_has_none() -> None:
    assert most_confident_mistakes(np.array([5], np.uint8), _probabilities((5, 0.4))) == []
