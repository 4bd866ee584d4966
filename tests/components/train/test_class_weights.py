import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.spec import ImageSpec
from components.common.plan.training import TrainConfig
from components.train.class_weights import class_weights
from components.train.session import Session

SPEC = ImageSpec(8, 8, 1, ("common", "rare", "missing"))


def _noisy(counts: tuple[int, int], seed: int) -> Split:
    """Noise, a little brighter in the rare class: no classifier tells all of them apart."""
    labels = np.repeat([0, 1], counts).astype(np.uint8)
    generator = np.random.default_rng(seed)
    images = generator.normal(100, 40, (len(labels), *SPEC.shape)) + 8 * labels[:, None, None, None]
    return Split(images.clip(0, 255).astype(np.uint8), labels, SPEC)


def test_every_class_weighs_alike_and_an_image_1_on_average() -> None:
    split = _noisy((30, 10), seed=0)

    weights = class_weights(split)

    assert weights.tolist() == pytest.approx([40 / 60, 40 / 20, 0])
    assert weights[split.labels].mean() == pytest.approx(1)


@pytest.mark.parametrize("compiled_loop", [False, True])
def test_class_weights_raise_the_recall_of_a_rare_class(compiled_loop: bool) -> None:
    train, validation = _noisy((1900, 100), seed=1), _noisy((200, 200), seed=2)
    config = TrainConfig(
        filters=((8,),),
        dense_units=16,
        epochs=8,
        batch_size=100,
        learning_rate=0.003,
        compiled_loop=compiled_loop,
    )
    recalls = []

    for weighted in (False, True):
        session = Session(train, validation, config.differing(class_weights=weighted))
        session.run_until(session.steps)
        answers = np.asarray(session.model(validation.images)).argmax(axis=1)
        recalls.append(float((answers == 1)[validation.labels == 1].mean()))

    plain, weighted_recall = recalls
    assert weighted_recall > plain + 0.25
