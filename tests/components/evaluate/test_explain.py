from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.common.dataset import Split
from components.common.inference import Classifier
from components.evaluate.explain import convolutions, explain, first_features


@pytest.fixture(scope="module")
def classifier(make_model: Callable[..., Path]) -> Classifier:
    return Classifier(make_model(0.0))


def test_points_at_what_decides(classifier: Classifier, split: Split) -> None:
    """In these images the two bright rows of the class decide, and the model weighs nothing else."""
    images, labels = split.images[:10], split.labels[:10]

    found = explain(classifier, images)

    for maps in (found.grad_cam, found.saliency):
        assert (maps.shape, maps.min() >= 0, maps.max() <= 1) == (images.shape, True, True)
    for grad_cam, label in zip(found.grad_cam, labels, strict=True):
        rows = slice(2 * label, 2 * label + 2)
        assert grad_cam[rows].mean() > 0.4
        assert grad_cam.sum() == pytest.approx(grad_cam[rows].sum())


def test_first_features_are_those_of_the_first_convolution(classifier: Classifier, split: Split) -> None:
    (only,) = first_features(classifier, split.images[0])

    np.testing.assert_allclose(only, split.images[0] / 255, atol=1e-6)


def test_a_model_that_is_no_chain_with_convolutions_has_none() -> None:
    import keras

    given = keras.Input((28, 28, 1))
    branches = [keras.layers.Conv2D(1, 3)(given) for _ in range(2)]

    assert convolutions(keras.Model(given, keras.layers.Add()(branches))) == []
    assert convolutions(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])) == []
