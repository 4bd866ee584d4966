import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.evaluate.robustness import CORRUPTIONS, mean_robustness, measure_robustness, rotate, shift


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """Eight images with one bright block left of and above the centre."""
    images = np.zeros((8, 28, 28), np.uint8)
    images[:, 8:12, 6:10] = 200
    return images


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruption_rises_with_severity_and_is_the_same_each_time(
    name: str, images: NDArray[np.uint8]
) -> None:
    _, _, severities, corrupt = CORRUPTIONS[name]

    corrupted = [corrupt(images, severity) for severity in severities]

    distances = [np.abs(image.astype(int) - images).mean() for image in corrupted]
    assert {(image.dtype.name, image.shape) for image in corrupted} == {("uint8", images.shape)}
    assert distances == sorted(distances)
    assert 0 < distances[0] < distances[-1]
    assert (corrupt(images, severities[0]) == corrupted[0]).all()


def test_shifts_go_right_down_left_and_up(images: NDArray[np.uint8]) -> None:
    shifted = shift(images, 2)

    corners = [tuple(np.argwhere(image)[0]) for image in shifted[:4]]
    assert corners == [(8, 8), (10, 6), (8, 4), (6, 6)]


def test_rotations_go_left_and_right(images: NDArray[np.uint8]) -> None:
    left, right = rotate(images, 90)[:2]

    assert (left == np.rot90(images[0])).all() or (left == np.rot90(images[0], -1)).all()
    assert (left == np.rot90(right, 2)).all()


def test_curves_start_from_clean_images(split: Split) -> None:
    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = images.reshape(-1, 14, 2, 28).mean(axis=(2, 3), dtype=np.float32)
        return rows[:, :10]

    curves = measure_robustness(predict, split)

    clean = (predict(split.images).argmax(axis=1) == split.labels).mean()
    assert [curve.accuracies[0] for curve in curves] == pytest.approx([clean] * len(curves))
    by_name = {curve.corruption: curve.accuracies for curve in curves}
    assert by_name["shift"][-1] < 0.7 < clean
    corrupted = [accuracy for accuracies in by_name.values() for accuracy in accuracies[1:]]
    assert mean_robustness(curves) == pytest.approx(np.mean(corrupted))
