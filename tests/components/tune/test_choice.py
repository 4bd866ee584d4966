import json
import math
from typing import Any

import numpy as np
import pytest

from components.common.plan.training import TrainConfig
from components.tune.choice import Choice, choose_configuration

BASELINE = TrainConfig(filters=((8,),), learning_rate=0.001, batch_size=64)
BETTER = {"dropout": 0.1}


def _choose(
    accuracies: dict[int, list[float]], options: dict[str, Any] = BETTER, images: int = 10**9
) -> Choice:
    return choose_configuration(BASELINE, accuracies, options, trials=9, images=images)


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [
        # No spread, and very many images; a tie keeps the baseline.
        ({0: [0.90, 0.90], 1: [0.91, 0.91]}, 1),
        ({0: [0.90, 0.90], 1: [0.90, 0.90]}, 0),
        ({0: [0.90, 0.90], 1: [0.89, 0.89]}, 0),
        # Variance 0.0002 in each; the difference of two means of two has a standard error of 0.0141, and t is 2.92.
        ({0: [0.90, 0.92], 1: [0.93, 0.95]}, 0),
        ({0: [0.90, 0.92], 1: [0.95, 0.97]}, 1),
        ({0: [0.90], 1: [0.901]}, 1),
        ({0: [0.90]}, 0),
    ],
)
def test_a_finalist_has_to_beat_the_baseline_beyond_noise(
    accuracies: dict[int, list[float]], best: int
) -> None:
    choice = _choose(accuracies)

    assert choice.trial == best
    assert choice.overrides == (BETTER if best else {})
    assert choice.baseline_validation_accuracy == pytest.approx(sum(accuracies[0]) / len(accuracies[0]))
    assert choice.contenders[0].trial == 0


def test_the_spread_is_pooled_over_baseline_and_finalist() -> None:
    choice = _choose({0: [0.90, 0.92], 1: [0.95, 0.95]})

    assert choice.needed == pytest.approx(2.91999 * math.sqrt(2 * 0.0001 / 2), rel=1e-5)


def test_seeds_that_are_alike_by_chance_count_no_more_than_the_images() -> None:
    """One image in 300 is no gain."""
    one = _choose({0: [0.9], 1: [0.9 + 1 / 300]}, images=300)
    two = _choose({0: [0.9, 0.9], 1: [0.95, 0.95]}, images=300)

    assert one.trial == 0
    assert one.needed == pytest.approx(1.64485 * math.sqrt(2 * 0.09 / 300), rel=1e-4)
    assert two.needed == pytest.approx(1.64485 * math.sqrt(0.09 / 300), rel=1e-4)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_equal_configurations_rarely_replace_the_baseline(seeds: int) -> None:
    """Trainings differ on the same images and by their seeds; in at most 5% of searches the other is chosen."""
    generator, replaced, searches = np.random.default_rng(seeds), 0, 400
    for _ in range(searches):
        accuracies = {
            trial: (generator.binomial(2000, 0.98 + generator.normal(0, 0.001, seeds)) / 2000).tolist()
            for trial in range(2)
        }
        replaced += _choose(accuracies, images=2000).trial != 0
    # 400 times 5%, and twice the standard deviation.
    assert replaced <= 29


def test_the_choice_as_json_makes_the_configuration() -> None:
    changes = {
        "filters": [[8, 8]],
        "learning_rate": 0.0012345678901234567,
        "batch_size": 64,
        "batch_norm": True,
    }

    choice = _choose({0: [0.9], 1: [0.95]}, changes)

    written = json.loads(choice.as_json())
    assert written["overrides"] == {name: value for name, value in changes.items() if name != "batch_size"}
    assert BASELINE.differing(**written["overrides"]) == BASELINE.differing(**changes)
    assert [entry["accuracies"] for entry in written["contenders"]] == [[0.9], [0.95]]


@pytest.mark.parametrize(
    ("accuracies", "sentence"),
    [
        ({0: [0.9]}, "the baseline is kept: none of 8 other trials is far above its 0.9000"),
        (
            {0: [0.90, 0.92], 4: [0.91, 0.93]},
            "the baseline is kept: the best of 9 trials, 4, does not beat it: validation 0.9200 (0.9100 to 0.9300) "
            "against the baseline's 0.9100 (0.9000 to 0.9200), means of 2 seeds; a gain counts from 0.0413",
        ),
        (
            {0: [0.90, 0.92], 4: [0.95, 0.97]},
            "trial 4 of 9 is best: validation 0.9600 (0.9500 to 0.9700) against the baseline's 0.9100 "
            "(0.9000 to 0.9200), means of 2 seeds; a gain counts from 0.0413, with dropout 0.1",
        ),
    ],
)
def test_the_choice_in_a_sentence(accuracies: dict[int, list[float]], sentence: str) -> None:
    assert _choose(accuracies).sentence() == sentence
