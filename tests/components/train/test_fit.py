import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.errors import PipelineError
from components.common.model.training_record import Epoch
from components.common.plan.training import TrainConfig
from components.train.fit import fit
from components.train.model import build_model
from components.train.weights import weights_digest

Splits = tuple[Split, Split]


def test_the_same_data_configuration_and_seed_give_the_same_model(
    splits: Splits, random: TrainConfig, undisturbed: tuple[str, list[Epoch]]
) -> None:
    model, _ = fit(*splits, random, lambda _: None)

    assert weights_digest(model) == undisturbed[0]


def test_another_process_gives_the_same_model(development: Path, random: TrainConfig, tmp_path: Path) -> None:
    digests = {_digest_of_another_process(development, random, tmp_path / name) for name in ("a", "b")}

    assert len(digests) == 1


def _digest_of_another_process(development: Path, config: TrainConfig, target: Path) -> str:
    code = (
        "from pathlib import Path; from components.common.plan.training import TrainConfig; "
        "from components.train.train import train; "
        f"config = TrainConfig.model_validate_json({config.model_dump_json()!r}); "
        f"print(train(Path({str(development)!r}), config, 'mine', Path({str(target)!r}), print).weights_digest)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return finished.stdout.split()[-1]


def test_the_seed_decides_where_a_training_starts(splits: Splits, small: TrainConfig) -> None:
    standing_still = small.differing(seed=5, learning_rate=1e-30, epochs=1)

    model, _ = fit(*splits, standing_still, lambda _: None)

    keras.utils.set_random_seed(5)
    for found, expected in zip(model.get_weights(), build_model(small).get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-20)


@pytest.mark.parametrize("compiled_loop", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "muon"])
def test_learns_an_easy_problem_and_reports_every_epoch(
    splits: Splits, small: TrainConfig, compiled_loop: bool, optimizer: str
) -> None:
    reported: list[Epoch] = []
    rate = {"adam": 0.003, "sgd": 0.03, "muon": 0.05}[optimizer]
    small = small.differing(compiled_loop=compiled_loop, optimizer=optimizer, learning_rate=rate)

    # 10 steps an epoch.
    model, history = fit(*splits, small.differing(epochs=1, min_steps=41), reported.append)

    assert history == reported
    assert [epoch.epoch for epoch in history] == pytest.approx([1, 2, 3, 4.1], abs=0.11)
    first, last = history[0], history[-1]
    assert min(last.accuracy, last.val_accuracy) > 0.95
    assert last.loss < first.loss
    assert last.val_loss < first.val_loss
    predicted = model.predict_on_batch(splits[1].images).argmax(axis=1)
    assert float((predicted == splits[1].labels).mean()) == pytest.approx(last.val_accuracy)


def test_a_batch_may_be_all_the_data(splits: Splits, small: TrainConfig) -> None:
    one = Split(splits[0].images[:1], splits[0].labels[:1])

    _, history = fit(one, one, small.differing(batch_size=1, epochs=1), lambda _: None)

    assert len(history) == 1


def test_a_batch_larger_than_the_data_is_refused(splits: Splits, small: TrainConfig) -> None:
    with pytest.raises(
        PipelineError, match=r"^batch_size cannot exceed the 320 training images but got 321\.$"
    ):
        fit(*splits, small.differing(batch_size=321), lambda _: None)


def test_a_training_that_diverges_is_refused(splits: Splits, small: TrainConfig) -> None:
    reported: list[Epoch] = []

    with pytest.raises(
        PipelineError,
        match=r"^the loss must stay finite but was (nan|inf) before step \d+ of 20: lower learning_rate \(1e\+30\)\.$",
    ):
        fit(*splits, small.differing(optimizer="sgd", learning_rate=1e30), reported.append)

    assert reported == []
