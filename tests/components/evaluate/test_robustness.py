import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.evaluate import robustness
from components.evaluate.robustness import (
    corruptions,
    mean_robustness,
    measure_robustness,
    rotate,
    shift,
)

SPECS = {
    "grey": MNIST_SPEC,
    "small": ImageSpec(16, 20, 1, ("a", "b")),
    "colour": ImageSpec(64, 48, 3, ("a", "b", "c")),
}


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """Eight images with one bright block left of and above the centre."""
    images = np.zeros((8, 28, 28, 1), np.uint8)
    images[:, 8:12, 6:10] = 200
    return images


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", corruptions(MNIST_SPEC))
def test_corruption_rises_with_severity_and_is_the_same_each_time(name: str, kind: str) -> None:
    spec = SPECS[kind]
    _, _, severities, corrupt = corruptions(spec)[name]
    images = np.zeros((8, *spec.shape), np.uint8)
    images[:, spec.height // 4 : spec.height // 2, spec.width // 4 : spec.width // 2] = 200
    corrupted = [corrupt(images, severity) for severity in severities]

    distances = [np.abs(image.astype(int) - images).mean() for image in corrupted]
    assert {(image.dtype.name, image.shape) for image in corrupted} == {("uint8", images.shape)}
    assert distances == sorted(distances)
    assert distances[0] < distances[-1]
    assert (corrupt(images, severities[0]) == corrupted[0]).all()


def test_shifts_go_right_down_left_and_up(images: NDArray[np.uint8]) -> None:
    shifted = shift(images, 2)

    corners = [tuple(np.argwhere(image[..., 0])[0]) for image in shifted[:4]]
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


def test_distances_grow_with_the_shorter_side() -> None:
    def distances(height: int, width: int) -> list[tuple[float, ...]]:
        found = corruptions(ImageSpec(height, width, 3, ("a", "b")))
        return [found[name][2] for name in ("shift", "blur")]

    assert distances(28, 28) == [(1, 2, 4, 6), (0.5, 1, 1.5, 2)]
    assert distances(56, 100) == [(2, 4, 8, 12), (1, 2, 3, 4)]
    assert distances(7, 7) == [(1, 2), (0.12, 0.25, 0.38, 0.5)]


def test_blur_stays_within_a_channel() -> None:
    images = np.zeros((1, 9, 9, 3), np.uint8)
    images[0, 4, 4, 1] = 250

    blurred = robustness.blur(images, 1.0)

    assert blurred[0, 4, 5, 1] > 0
    assert not blurred[..., [0, 2]].any()


def test_fewer_of_large_images_are_corrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ImageSpec(8, 8, 3, ("a", "b"))
    split = Split(np.zeros((50, *spec.shape), np.uint8), np.arange(50, dtype=np.uint8) % 2, spec)
    counts = set()

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        counts.add(len(images))
        return np.zeros((len(images), 2), np.float32)

    monkeypatch.setattr(robustness, "VALUES", 10 * spec.pixels)
    measure_robustness(predict, split)

    assert counts == {10}
