import json
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from components.train.config import TrainConfig
from components.tune.choose import Choice, choose
from components.tune.space import SEARCH_SPACE, distributions

Trials = list[tuple[float | None, dict[str, Any]]]
BASELINE = TrainConfig(learning_rate=0.001, batch_size=64)


def _study(trials: Trials) -> optuna.Study:
    """A study of the trials; without a value they failed, or were pruned at a validation accuracy of 1."""
    space = distributions(SEARCH_SPACE, BASELINE)
    study = optuna.create_study(direction="maximize")
    for value, changes in trials:
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
                params={name: getattr(BASELINE, name) for name in space} | changes,
                distributions=space,
                value=value,
                intermediate_values={1: 1.0} if value is None else {1: value},
            )
        )
    return study


@pytest.mark.parametrize(
    ("trials", "best", "overrides"),
    [
        ([(0.9, {})], 0, {}),
        ([(0.9, {}), (0.95, {"dropout": 0.1})], 1, {"dropout": 0.1}),
        ([(0.9, {}), (0.89, {"dropout": 0.1})], 0, {}),
        # A tie goes to the baseline, and between others to the earlier one.
        ([(0.9, {}), (0.9, {"dropout": 0.1})], 0, {}),
        ([(0.9, {}), (0.95, {"dropout": 0.1}), (0.95, {"dropout": 0.2})], 1, {"dropout": 0.1}),
        # What was not trained to its end does not count.
        ([(0.9, {}), (None, {"dropout": 0.1})], 0, {}),
        ([(0.9, {}), (None, {"dropout": 0.1}), (0.91, {"batch_norm": True})], 2, {"batch_norm": True}),
        (
            [(0.5, {}), (0.6, {"learning_rate": 0.004, "batch_size": 256, "augmentation": "affine"})],
            1,
            {"learning_rate": 0.004, "batch_size": 256, "augmentation": "affine"},
        ),
    ],
)
def test_the_best_complete_trial_is_chosen(trials: Trials, best: int, overrides: dict[str, Any]) -> None:
    choice = choose(_study(trials), BASELINE)

    assert choice == Choice(
        trial=best,
        validation_accuracy=trials[best][0] or 0,
        baseline_validation_accuracy=trials[0][0] or 0,
        trials=len(trials),
        overrides=overrides,
    )


def test_the_choice_as_json_makes_the_configuration() -> None:
    changes = {"learning_rate": 0.0012345678901234567, "batch_norm": True, "batch_size": 128}

    choice = choose(_study([(0.9, {}), (0.95, changes)]), BASELINE)

    written = json.loads(choice.as_json())
    assert BASELINE.differing(**written["overrides"]) == BASELINE.differing(**changes)
    assert (written["trial"], written["trials"], written["validation_accuracy"]) == (1, 2, 0.95)


@pytest.mark.parametrize(
    ("trials", "sentence"),
    [
        ([(0.9, {}), (0.85, {"dropout": 0.1})], "none of 2 trials beats the baseline's 0.9000"),
        (
            [(0.9, {}), (0.95, {"learning_rate": 0.00123456, "batch_size": 128, "batch_norm": True})],
            "trial 1 of 2 is best: validation 0.9500 against the baseline's 0.9000 "
            "with learning_rate 0.001235, batch_size 128, batch_norm True",
        ),
    ],
)
def test_the_choice_in_a_sentence(trials: Trials, sentence: str) -> None:
    assert choose(_study(trials), BASELINE).sentence() == sentence
