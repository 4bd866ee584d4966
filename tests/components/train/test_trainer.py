import pytest

from components.common.data.dataset import Split
from components.common.model.training_record import Epoch
from components.common.plan.training import TrainConfig
from components.train.trainer import Trainer
from components.train.weights import weights_digest

Splits = tuple[Split, Split]


def _train(trainer: Trainer, until: int) -> None:
    while trainer.step < until:
        trainer.advance(until)


def test_a_preview_leaves_no_trace(
    splits: Splits, random: TrainConfig, undisturbed: tuple[str, list[Epoch]]
) -> None:
    trainer = Trainer(*splits, random)
    _train(trainer, 8)

    first, second = trainer.preview(4), trainer.preview(4)

    assert first.val_loss == second.val_loss
    assert (trainer.step, trainer.history) == (8, [])
    _train(trainer, trainer.steps)
    assert weights_digest(trainer.model) == undisturbed[0]


def test_a_training_does_not_depend_on_what_the_process_trained_before(
    splits: Splits, random: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    in_two_shards = random.differing(batch_size=128, epochs=0.4)
    digests = []

    for config in (random, in_two_shards, random):
        trainer = Trainer(*splits, config)
        _train(trainer, trainer.steps)
        digests.append(weights_digest(trainer.model))

    assert digests[0] == digests[2]


def test_a_preview_is_the_score_of_a_training_whose_learning_rate_fell_to_0(
    splits: Splits, small: TrainConfig
) -> None:
    config = small.differing(compiled_loop=True, schedule="linear", learning_rate=0.01)
    whole, paused = (
        Trainer(*splits, config.differing(epochs=1)),
        Trainer(*splits, config.differing(epochs=1000)),
    )
    _train(whole, whole.steps)

    preview = paused.preview(whole.steps)

    assert abs(preview.val_loss - whole.score().val_loss) < 1e-4


def test_precise_batch_norm_changes_the_statistics_after_the_last_step_and_nothing_else(
    splits: Splits, random: TrainConfig
) -> None:
    plain, precise = (
        Trainer(*splits, random.differing(precise_batch_norm=precise, epochs=0.5))
        for precise in (False, True)
    )
    for trainer in (plain, precise):
        _train(trainer, trainer.steps - 1)
    assert weights_digest(precise.model) == weights_digest(plain.model)

    for trainer in (plain, precise):
        _train(trainer, trainer.steps)

    changed = {
        now.name
        for now, other in zip(precise.model.variables, plain.model.variables, strict=True)
        if (now.numpy() != other.numpy()).any()
    }
    assert changed - {"seed_generator_state"} == {"moving_mean", "moving_variance"}
