import shutil
from pathlib import Path
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError, of_outage
from components.common.model.classifier import Classifier
from components.common.model.exchange import EXCHANGE, Exchange
from components.common.plan.training import TrainConfig
from components.evaluate import exchange
from components.evaluate.exchange import SINGLES, write_exchange
from components.train.model import build_model
from tests.records import training_record

IMAGES = np.random.default_rng(0).integers(0, 256, (SINGLES + 56, *MNIST_SPEC.shape), dtype=np.uint8)


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """A model that calculates in bfloat16, with its record."""
    keras.utils.set_random_seed(1)
    config = TrainConfig(filters=((4,),), dense_units=8, precision="bfloat16")
    build_model(config, MNIST_SPEC).save(tmp_path / "model.keras")
    training_record().save(tmp_path)
    return tmp_path


def test_the_differences_are_measured_on_all_images_and_written_down(candidate: Path) -> None:
    found = write_exchange(candidate, Classifier(candidate), IMAGES)

    assert (found.problem, found.images, found.singles) == ("", len(IMAGES), SINGLES)
    assert found.difference < 1e-6 < found.difference_as_trained < 2e-2
    assert Exchange.load(candidate / EXCHANGE) == found
    assert f"on {len(IMAGES)} validation images no probability differs by more than" in found.summary
    assert "from the Keras model as trained by" in found.summary


def test_a_file_of_other_answers_is_a_problem_of_the_registration(
    candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_exchange(candidate, Classifier(candidate), IMAGES)
    shutil.move(candidate / EXCHANGE, candidate / "other")
    other = Classifier(candidate)
    other.model.set_weights([-weights for weights in other.model.get_weights()])
    monkeypatch.setattr(
        exchange, "write_onnx", lambda _, path: shutil.copy(candidate / "other/model.onnx", path)
    )

    found = write_exchange(candidate, other, IMAGES)
    assert "must give every image the Keras model's class but does not for" in found.problem
    assert found.summary == ""


def test_want_of_memory_is_no_problem_of_the_candidate(
    candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tf2onnx.convert.from_function", Mock(side_effect=MemoryError))
    with pytest.raises(PipelineError) as raised:
        write_exchange(candidate, Classifier(candidate), IMAGES)
    assert of_outage(raised.value)
