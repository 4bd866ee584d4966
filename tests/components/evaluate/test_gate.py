from dataclasses import replace

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.evaluate.champion import ScoredChampion
from components.evaluate.compare import mcnemar
from components.evaluate.gate import decide, required_accuracy
from components.evaluate.metrics import Metrics, measure_predictions


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return measure_predictions(np.array([0, 1], np.uint8), np.eye(10, dtype=np.float32)[[0, 1]])


@pytest.mark.parametrize(
    ("accuracy", "champion_accuracy", "discordant", "min_accuracy", "action"),
    [
        # No champion.
        (0.97, None, None, 0.97, "register"),
        (0.9699, None, None, 0.97, "keep"),
        (0.5, None, None, 0.0, "register"),
        (1.0, None, None, 1.0, "register"),
        # Better, and by how much.
        (0.9950, 0.9940, (12, 2), 0.97, "register"),
        (0.9941, 0.9940, (2, 1), 0.97, "register"),
        # As accurate: a tie goes to the candidate.
        (0.9940, 0.9940, (4, 4), 0.97, "register"),
        # Less accurate, significantly or not: champions never drift downwards.
        (0.9939, 0.9940, (1, 2), 0.97, "keep"),
        (0.9931, 0.9940, (3, 12), 0.97, "keep"),
        # Better than a champion is not enough.
        (0.96, 0.95, (30, 2), 0.97, "keep"),
    ],
)
def test_decision(
    metrics: Metrics,
    accuracy: float,
    champion_accuracy: float | None,
    discordant: tuple[int, int] | None,
    min_accuracy: float,
    action: str,
) -> None:
    champion = None
    if champion_accuracy is not None and discordant is not None:
        champion = ScoredChampion(
            "mnist-cnn", "3", replace(metrics, accuracy=champion_accuracy), mcnemar(*discordant, 10_000)
        )

    assert decide(replace(metrics, accuracy=accuracy), champion, min_accuracy).action == action


def _reasons(metrics: Metrics, accuracy: float, discordant: tuple[int, int]) -> list[str]:
    of_champion = replace(metrics, accuracy=0.994, accuracy_interval=(0.9923, 0.9953))
    champion = ScoredChampion("mnist-cnn", "3", of_champion, mcnemar(*discordant, 10_000))
    candidate = replace(metrics, accuracy=accuracy, accuracy_interval=(0.9913, 0.9945))
    return decide(candidate, champion, 0.97).reasons


def test_reasons_give_the_numbers(metrics: Metrics) -> None:
    assert _reasons(metrics, 0.9931, (3, 12)) == [
        "0.9931 (95% interval 0.9913 to 0.9945) is not below the minimum accuracy 0.97",
        "0.9931 against 0.9940 (95% interval 0.9923 to 0.9953) of the champion, mnist-cnn v3: difference -0.0009 "
        "(95% interval -0.0017 to -0.0001), 12 test images only the champion gets right, "
        "3 only the candidate, McNemar p = 0.035: worse",
    ]


def test_reasons_say_why_an_equivalent_model_is_kept_out(metrics: Metrics) -> None:
    assert _reasons(metrics, 0.9939, (0, 1))[1].endswith(
        "1 test image only the champion gets right, 0 only the candidate, McNemar p = 1: equivalent, "
        "but less accurate than the champion: not promoted"
    )


@pytest.mark.parametrize(
    ("discordant", "verdict"), [((12, 2), "better"), ((4, 4), "equivalent"), ((2, 12), "worse")]
)
def test_the_decision_carries_the_verdict(
    metrics: Metrics, discordant: tuple[int, int], verdict: str
) -> None:
    champion = ScoredChampion("mnist-cnn", "3", metrics, mcnemar(*discordant, 10_000))

    assert decide(metrics, champion, 0.97).verdict == verdict


def test_the_first_champion(metrics: Metrics) -> None:
    decision = decide(metrics, None, 0.97)

    assert decision.verdict == "first"
    assert decision.reasons[1] == "there is no champion yet: first champion"


@pytest.mark.parametrize("min_accuracy", [-0.01, 1.01, 97, float("nan")])
def test_a_minimum_that_is_no_fraction_is_refused(metrics: Metrics, min_accuracy: float) -> None:
    with pytest.raises(PipelineError, match="min_accuracy must lie between 0 and 1 but got"):
        decide(metrics, None, min_accuracy)


def _test_split(spec: ImageSpec, labels: list[int]) -> Split:
    return Split(np.zeros((len(labels), *spec.shape), np.uint8), np.array(labels, spec.label_type), spec)


def test_digits_must_reach_95_percent_where_the_plan_says_nothing() -> None:
    digits = _test_split(MNIST_SPEC, [0, 1, 1, 2])

    assert required_accuracy(None, digits) == (0.95, "")
    assert required_accuracy(0.2, digits) == (0.2, "")


def test_other_data_must_be_told_apart_better_than_by_guessing(metrics: Metrics) -> None:
    test = _test_split(ImageSpec(8, 8, 3, ("benign", "malignant")), [0, 0, 0, 1])

    required, origin = required_accuracy(None, test)

    assert required == 1.0
    guessed = decide(replace(metrics, accuracy=0.75), None, required, origin)
    assert guessed.action == "keep"
    assert guessed.reasons[0].endswith(
        "is below the minimum accuracy 1, one image more than the answer 'benign' to all would get right"
    )


def test_a_champion_of_other_test_data_is_named_as_such(metrics: Metrics) -> None:
    champion = ScoredChampion("mnist-cnn", "3", metrics, mcnemar(4, 4, 10_000), other_test_data=True)

    assert (
        "registered on other test data; both are scored on this run's"
        in decide(metrics, champion, 0).reasons[-1]
    )
    assert len(decide(metrics, replace(champion, other_test_data=False), 0).reasons) == 2
