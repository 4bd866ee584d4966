from dataclasses import replace

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.evaluate.champion import ScoredChampion
from components.evaluate.compare import compare_counts
from components.evaluate.gate import decide, largest_p, required_accuracy
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
        (0.9941, 0.9940, (2, 1), 0.97, "keep"),
        # As accurate.
        (0.9940, 0.9940, (4, 4), 0.97, "keep"),
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
            "mnist-cnn",
            "3",
            replace(metrics, accuracy=champion_accuracy),
            compare_counts(*discordant, 10_000),
        )

    assert decide(replace(metrics, accuracy=accuracy), champion, min_accuracy).action == action


@pytest.mark.parametrize(
    ("accuracy", "discordant", "action"),
    [(0.9941, (2, 1), "register"), (0.9940, (4, 4), "register"), (0.9939, (1, 2), "keep")],
)
def test_as_accurate_is_enough_where_the_plan_says_so(
    metrics: Metrics, accuracy: float, discordant: tuple[int, int], action: str
) -> None:
    champion = _champion(metrics, discordant)

    decision = decide(replace(metrics, accuracy=accuracy), champion, 0.97, promote="as-accurate")

    assert decision.action == action
    assert ("not promoted" in decision.reasons[-1]) == (action == "keep")


def _champion(metrics: Metrics, discordant: tuple[int, int]) -> ScoredChampion:
    of_champion = replace(metrics, accuracy=0.994, accuracy_interval=(0.9923, 0.9953))
    return ScoredChampion("mnist-cnn", "3", of_champion, compare_counts(*discordant, 10_000))


def test_reasons_give_the_numbers(metrics: Metrics) -> None:
    candidate = replace(metrics, accuracy=0.9931, accuracy_interval=(0.9913, 0.9945))

    assert decide(candidate, _champion(metrics, (3, 12)), 0.97).reasons == [
        "0.9931 (95% interval 0.9913 to 0.9945) is not below the minimum accuracy 0.97",
        "0.9931 against 0.9940 (95% interval 0.9923 to 0.9953) of the champion, mnist-cnn v3: difference -0.0009 "
        "(95% interval -0.0018 to -0.0002), 12 test images only the champion gets right, "
        "3 only the candidate, p = 0.02: worse",
        "decision 1 on this test split promotes a better candidate with p below 0.05: not promoted",
    ]


@pytest.mark.parametrize(
    ("discordant", "verdict", "words"),
    [
        ((12, 2), "better", "better"),
        ((4, 4), "equivalent", "equivalent within 0.002"),
        ((2, 12), "worse", "worse"),
        (
            (120, 120),
            "undecided",
            "undecided, since a true gain of 0.002 would be found in 25% of such tests",
        ),
    ],
)
def test_the_decision_carries_the_verdict(
    metrics: Metrics, discordant: tuple[int, int], verdict: str, words: str
) -> None:
    decision = decide(metrics, _champion(metrics, discordant), 0.97)

    assert decision.verdict == verdict
    assert decision.reasons[1].endswith(f": {words}")


def test_a_test_split_that_decides_often_asks_for_more(metrics: Metrics) -> None:
    champion = _champion(metrics, (12, 2))
    assert champion.comparison.p_value == pytest.approx(0.0075, abs=1e-4)

    first, third = (decide(metrics, replace(champion, decision=number), 0.97) for number in (1, 3))

    assert (first.action, third.action) == ("register", "keep")
    assert third.verdict == "better"
    assert third.reasons[-1] == (
        "decision 3 on this test split promotes a better candidate with p below 0.0056: not promoted"
    )
    assert sum(largest_p(number) for number in range(1, 100_000)) < 0.0823


def test_the_champion_itself_is_no_candidate(metrics: Metrics) -> None:
    decision = decide(
        metrics, replace(_champion(metrics, (0, 0)), identical=True), 0.97, promote="as-accurate"
    )

    assert (decision.action, decision.verdict) == ("keep", "identical")
    assert decision.reasons == [
        "the candidate has the weights of the champion, mnist-cnn v3: there is nothing to decide"
    ]


def test_the_first_champion(metrics: Metrics) -> None:
    decision = decide(metrics, None, 0.97)

    assert decision.verdict == "first"
    assert decision.reasons[1] == "there is no champion yet: first champion"


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
    champion = ScoredChampion("mnist-cnn", "3", metrics, compare_counts(4, 4, 10_000), other_test_data=True)

    assert (
        "registered on other test data; both are scored on this run's"
        in decide(metrics, champion, 0).reasons[-1]
    )
    assert len(decide(metrics, replace(champion, other_test_data=False), 0).reasons) == 3
