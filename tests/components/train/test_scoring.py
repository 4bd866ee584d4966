import keras
import numpy as np
import pytest

from components.common.data.spec import MNIST_SPEC
from components.common.plan.training import TrainConfig
from components.train.model import build_model
from components.train.scoring import Scorer, right_answers


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_sums_of_loss_and_right_answers_do_not_depend_on_shards(shards: int) -> None:
    keras.utils.set_random_seed(0)
    model = build_model(TrainConfig(filters=((4,),), dense_units=8), MNIST_SPEC)
    images = np.random.default_rng(0).integers(0, 256, (50, *MNIST_SPEC.shape), dtype=np.uint8)
    labels = (np.arange(50) % 10).astype(np.uint8)
    probabilities = np.asarray(model(images))

    loss, hits = Scorer(model, MNIST_SPEC, shards).sums(images, labels)

    assert loss == pytest.approx(-np.log(probabilities[np.arange(50), labels]).sum(), rel=1e-5)
    assert hits == (probabilities.argmax(axis=1) == labels).sum()


def test_an_answer_is_right_where_the_most_probable_class_is_the_label() -> None:
    probabilities = np.array([[0.1, 0.9], [0.6, 0.4]], np.float32)

    assert right_answers(probabilities, np.array([1, 1], np.uint8)).numpy().tolist() == [1.0, 0.0]
