import keras
import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.common.model.training_record import Epoch, weights_digest
from components.common.plan.training import TrainConfig
from components.train.model import build_model
from components.train.session import Session

Splits = tuple[Split, Split]


def test_a_preview_leaves_no_trace(
    splits: Splits, random: TrainConfig, undisturbed: tuple[str, list[Epoch]]
) -> None:
    session = Session(*splits, random)
    session.run_until(8)

    first, second = session.preview(4), session.preview(4)

    assert first.val_loss == second.val_loss
    assert (session.step, session.history) == (8, [])
    session.run_until(session.steps)
    assert weights_digest(session.model) == undisturbed[0]


def test_a_training_does_not_depend_on_what_the_process_trained_before(
    splits: Splits, random: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    in_two_shards = random.differing(batch_size=128, epochs=0.4)
    digests = []

    for config in (random, in_two_shards, random):
        session = Session(*splits, config)
        session.run_until(session.steps)
        digests.append(weights_digest(session.model))

    assert digests[0] == digests[2]


def test_a_preview_is_the_score_of_a_training_whose_learning_rate_fell_to_0(
    splits: Splits, small: TrainConfig
) -> None:
    config = small.differing(compiled_loop=True, schedule="linear", learning_rate=0.01)
    whole, paused = (
        Session(*splits, config.differing(epochs=1)),
        Session(*splits, config.differing(epochs=1000)),
    )
    whole.run_until(whole.steps)

    preview = paused.preview(whole.steps)

    assert abs(preview.val_loss - whole.score().val_loss) < 1e-4


def test_precise_batch_norm_changes_the_statistics_after_the_last_step_and_nothing_else(
    splits: Splits, random: TrainConfig
) -> None:
    plain, precise = (
        Session(*splits, random.differing(precise_batch_norm=precise, epochs=0.5))
        for precise in (False, True)
    )
    for session in (plain, precise):
        session.run_until(session.steps - 1)
    assert weights_digest(precise.model) == weights_digest(plain.model)

    for session in (plain, precise):
        session.run_until(session.steps)

    changed = {
        now.name
        for now, other in zip(precise.model.variables, plain.model.variables, strict=True)
        if (now.numpy() != other.numpy()).any()
    }
    assert changed - {"seed_generator_state"} == {"moving_mean", "moving_variance"}


def test_the_same_data_configuration_and_seed_give_the_same_model(
    splits: Splits, random: TrainConfig, undisturbed: tuple[str, list[Epoch]]
) -> None:
    session = Session(*splits, random)
    session.run(lambda _: None)

    assert weights_digest(session.model) == undisturbed[0]


def test_the_seed_decides_where_a_training_starts(splits: Splits, small: TrainConfig) -> None:
    standing_still = small.differing(seed=5, learning_rate=1e-30, epochs=1)

    session = Session(*splits, standing_still)
    session.run(lambda _: None)

    keras.utils.set_random_seed(5)
    for found, expected in zip(
        session.model.get_weights(), build_model(small, MNIST_SPEC).get_weights(), strict=True
    ):
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
    session = Session(*splits, small.differing(epochs=1, min_steps=41))
    session.run(reported.append)
    history = session.history

    assert history == reported
    assert [epoch.epoch for epoch in history] == pytest.approx([1, 2, 3, 4.1], abs=0.11)
    first, last = history[0], history[-1]
    assert min(last.accuracy, last.val_accuracy) > 0.95
    assert last.loss < first.loss
    assert last.val_loss < first.val_loss
    predicted = session.model.predict_on_batch(splits[1].images).argmax(axis=1)
    assert float((predicted == splits[1].labels).mean()) == pytest.approx(last.val_accuracy)


def test_a_batch_may_be_all_the_data(splits: Splits, small: TrainConfig) -> None:
    one = Split(splits[0].images[:1], splits[0].labels[:1], splits[0].spec)

    session = Session(one, one, small.differing(batch_size=1, epochs=1))
    session.run(lambda _: None)

    assert len(session.history) == 1


def test_a_batch_larger_than_the_data_is_refused(splits: Splits, small: TrainConfig) -> None:
    with pytest.raises(
        PipelineError,
        match=r"^training\.batch_size must be at most the 320 training images but is 321: lower it, or use more",
    ):
        Session(*splits, small.differing(batch_size=321))


def test_a_training_that_diverges_is_refused(splits: Splits, small: TrainConfig) -> None:
    reported: list[Epoch] = []

    with pytest.raises(
        PipelineError,
        match=r"^the loss must stay finite but was (nan|inf) before step \d+ of 20: lower learning_rate \(1e\+12\)\.$",
    ):
        Session(*splits, small.differing(optimizer="sgd", learning_rate=1e12)).run(reported.append)

    assert reported == []
