"""Trainings on images of all sizes, channels and numbers of classes."""

from typing import Any

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.plan.network import network_of
from components.common.plan.training import RECIPES, TrainConfig
from components.train import normalization
from components.train.model import build_model
from components.train.session import SCORED_IMAGES, Session
from tests.records import random_split


def _spec(height: int, width: int, channels: int, classes: int) -> ImageSpec:
    return ImageSpec(height, width, channels, tuple(f"class {number}" for number in range(classes)))


TRAINED = [_spec(4, 4, 1, 2), _spec(28, 28, 1, 300), _spec(32, 32, 3, 26), _spec(64, 48, 3, 100)]
BUILT = [*TRAINED, _spec(8, 8, 1, 10), _spec(20, 150, 1, 2), _spec(224, 224, 3, 1000)]


# The network of `best` has all layers of the others, which are trained on the least and on the largest images.
@pytest.mark.parametrize(
    ("recipe", "spec"),
    [(recipe, spec) for recipe in RECIPES for spec in (TRAINED if recipe == "best" else TRAINED[::3])],
    ids=lambda value: value if isinstance(value, str) else value.size,
)
def test_a_recipe_trains_and_answers_on_images_of_any_kind(recipe: str, spec: ImageSpec) -> None:
    split = random_split(18, spec=spec)
    config = RECIPES[recipe].differing(batch_size=9, epochs=1, min_steps=0)

    session = Session(split, split, config)
    session.run(lambda _: None)

    assert np.isfinite(session.history[-1].val_loss)
    finished = build_model(config, spec)
    finished.set_weights(session.model.get_weights())
    probabilities = np.asarray(finished(split.images[:3]))
    assert (finished.input_shape, probabilities.shape) == ((None, *spec.shape), (3, len(spec.classes)))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("spec", BUILT, ids=lambda spec: spec.size)
def test_the_model_is_the_network_that_the_plan_checks(recipe: str, spec: ImageSpec) -> None:
    network = network_of(RECIPES[recipe], spec)

    model = build_model(RECIPES[recipe], spec)

    kernels = [array.size for array in model.get_weights() if array.ndim > 1]
    assert sum(kernels) == network.weights < 1_200_000


def _stripes(count: int, seed: int) -> Split:
    """Noisy oblong pictures; the stripes of the one class are red, of the other green."""
    spec = _spec(30, 44, 3, 2)
    labels = (np.arange(count) % 2).astype(np.uint8)
    images = np.random.default_rng(seed).integers(0, 160, (count, *spec.shape), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[::4, :, label] += 60
    return Split(images, labels, spec)


@pytest.mark.parametrize("recipe", ["fast", "best"])
def test_a_recipe_learns_colours(recipe: str) -> None:
    train, validation = _stripes(200, seed=0), _stripes(60, seed=1)
    config = RECIPES[recipe].differing(batch_size=20, epochs=3, min_steps=0)

    session = Session(train, validation, config)
    session.run(lambda _: None)

    assert session.history[-1].val_accuracy > 0.95


@pytest.mark.parametrize("class_weights", [False, True])
def test_both_loops_train_alike(class_weights: bool) -> None:
    spec = _spec(32, 24, 3, 300)
    split = random_split(90, spec=spec)
    unequal = Split(split.images, np.minimum(split.labels, 70), spec)
    config = TrainConfig(
        filters=((4,), (4,)), dense_units=8, batch_size=16, augmentation="shift", class_weights=class_weights
    )
    sessions = [Session(unequal, unequal, config.differing(compiled_loop=loop)) for loop in (False, True)]

    for session in sessions:
        session.run_until(4)

    keras_loop, compiled_loop = (session.model.get_weights() for session in sessions)
    for found, expected in zip(compiled_loop, keras_loop, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
    found_loss, expected_loss = (session.score().loss for session in sessions)
    assert found_loss == pytest.approx(expected_loss, rel=1e-4)


def test_large_images_are_computed_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = _spec(96, 96, 3, 2)
    split = random_split(300, spec=spec)
    config = TrainConfig(
        filters=((1,), (1,)),
        dense_units=1,
        batch_size=300,
        epochs=1,
        batch_norm=True,
        precise_batch_norm=True,
        compiled_loop=True,
    )
    session = Session(split, split, config)
    scored: list[int] = []
    normalized: list[int] = []

    class Recorded:
        def sums(self, images: Any, labels: Any) -> tuple[float, float]:
            assert len(images) == len(labels)
            scored.append(len(images))
            return 0.0, 0.0

    monkeypatch.setattr(session, "_scorer", Recorded())
    monkeypatch.setattr(
        normalization,
        "set_precise_statistics",
        lambda *arguments: normalized.append(arguments[-1]),
    )
    session.run(lambda _: None)

    assert sum(scored) == 300
    assert max(scored) == SCORED_IMAGES * MNIST_SPEC.pixels // spec.pixels == 58
    assert normalized == [64]


@pytest.mark.parametrize(
    ("spec", "batch_size", "message"),
    [
        (_spec(3, 40, 1, 2), 1, "images must be at least 4 x 4 but are 3 x 40"),
        (_spec(512, 512, 3, 2), 1000, "a training step must take at most 12 GiB of memory but takes about"),
    ],
)
def test_a_training_that_its_images_do_not_fit_is_refused(
    spec: ImageSpec, batch_size: int, message: str
) -> None:
    images = np.zeros((1, *spec.shape), np.uint8)
    split = Split(np.broadcast_to(images, (1000, *spec.shape)), np.zeros(1000, np.uint8), spec)

    with pytest.raises(PipelineError, match=message):
        Session(split, split, TrainConfig(batch_size=batch_size))
