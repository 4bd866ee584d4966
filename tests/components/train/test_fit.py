from pathlib import Path

import keras
import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.info import DatasetInfo
from components.common.errors import PipelineError
from components.common.model.training_record import Epoch, Training, weights_digest
from components.common.plan.training import TrainConfig
from components.train.fit import fit_model
from tests.forks import ForkedPython


@pytest.fixture(scope="module")
def trained(
    development: Path, random: TrainConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Training, Path]:
    """A training, and the directory that holds its `model` and its `checkpoints`."""
    directory = tmp_path_factory.mktemp("trained")
    training = fit_model(
        development,
        random,
        recipe="mine",
        target=directory / "model",
        on_epoch=lambda _: None,
        checkpoints=str(directory / "checkpoints"),
    )
    return training, directory


def test_leaves_model_record_and_curves_and_no_checkpoint(trained: tuple[Training, Path]) -> None:
    training, directory = trained

    assert {path.name for path in (directory / "model").iterdir()} == {
        "model.keras",
        "training.json",
    }
    assert Training.load(directory / "model") == training
    assert not (directory / "checkpoints").exists()


def test_the_record_says_what_was_trained_on_what(
    trained: tuple[Training, Path],
    development: Path,
    random: TrainConfig,
    undisturbed: tuple[str, list[Epoch]],
) -> None:
    training, _ = trained
    info = DatasetInfo.load(development)

    assert (training.recipe, training.seed) == ("mine", random.seed)
    assert TrainConfig.model_validate(training.config) == random
    assert training.dataset == info
    last = training.history[-1]
    assert (training.validation_accuracy, training.validation_loss) == (last.val_accuracy, last.val_loss)
    assert training.seconds == sum(epoch.seconds for epoch in training.history)
    assert training.images_per_second == pytest.approx(2 * 320 / training.seconds)
    assert training.weights_digest == undisturbed[0]


def test_the_saved_model_is_the_one_that_was_scored(
    trained: tuple[Training, Path], splits: tuple[Split, Split]
) -> None:
    training, directory = trained

    model = keras.models.load_model(directory / "model" / "model.keras")

    assert weights_digest(model) == training.weights_digest
    assert model.count_params() == training.parameters
    assert not model.compiled
    images, labels = splits[1].images, splits[1].labels
    probabilities = np.asarray(model(images))
    loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    assert (probabilities.argmax(axis=1) == labels).mean() == pytest.approx(training.validation_accuracy)
    assert loss == pytest.approx(training.validation_loss, rel=1e-5)


def test_an_interrupted_training_is_resumed_by_the_same_configuration_only(
    development: Path, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKPOINT_SECONDS", "0")
    reported: list[float] = []

    def run(config: TrainConfig, until: int) -> list[float]:
        reported.clear()

        def on_epoch(epoch: Epoch) -> None:
            if len(reported) == until:
                raise InterruptedError
            reported.append(epoch.epoch)

        fit_model(
            development,
            config,
            recipe="mine",
            target=tmp_path / "model",
            on_epoch=on_epoch,
            checkpoints=str(tmp_path / "checkpoints"),
        )
        return reported

    with pytest.raises(InterruptedError):
        run(small, until=1)

    assert not (tmp_path / "model").exists()
    assert run(small.differing(epochs=1), until=9) == [1]
    assert run(small, until=9) == [2]
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_training_that_is_refused_leaves_nothing(
    development: Path, small: TrainConfig, tmp_path: Path
) -> None:
    refused = small.differing(batch_size=321)

    with pytest.raises(PipelineError, match="batch_size must be at most the 320"):
        fit_model(
            development,
            refused,
            recipe="mine",
            target=tmp_path / "model",
            on_epoch=lambda _: None,
            checkpoints=str(tmp_path / "checkpoints"),
        )

    assert list(tmp_path.iterdir()) == []


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"dataset\.json must exist but does not"):
        fit_model(tmp_path, TrainConfig(), recipe="seed", target=tmp_path / "model", on_epoch=lambda _: None)


def test_another_process_gives_the_same_model(development: Path, random: TrainConfig, tmp_path: Path) -> None:
    digests = {_digest_of_another_process(development, random, tmp_path / name) for name in ("a", "b")}

    assert len(digests) == 1


def _digest_of_another_process(development: Path, config: TrainConfig, target: Path) -> str:
    code = (
        "from pathlib import Path; from components.common.plan.training import TrainConfig; "
        "from components.train.fit import fit_model; "
        f"config = TrainConfig.model_validate_json({config.model_dump_json()!r}); "
        f"training = fit_model(Path({str(development)!r}), config, recipe='mine', target=Path({str(target)!r}), "
        "on_epoch=print); print(training.weights_digest)"
    )
    return ForkedPython(code).output().split()[-1]


def _model(kernel: list[list[float]], dtype: str = "float32") -> keras.Model:
    dense = keras.layers.Dense(len(kernel[0]), use_bias=False, dtype=dtype)
    model = keras.Sequential([keras.Input((len(kernel),)), dense])
    dense.set_weights([np.array(kernel)])
    return model


def test_equal_weights_have_equal_digests() -> None:
    assert weights_digest(_model([[1, 2], [3, 4]])) == weights_digest(_model([[1, 2], [3, 4]]))


def test_other_values_order_shape_or_type_have_another_digest() -> None:
    models = [
        _model([[1, 2], [3, 4]]),
        _model([[1, 2], [3, 4.000001]]),
        _model([[1, 3], [2, 4]]),
        _model([[1, 2, 3, 4]]),
        _model([[1], [2], [3], [4]]),
        _model([[1, 2], [3, 4]], dtype="float64"),
    ]

    assert len({weights_digest(model) for model in models}) == len(models)
