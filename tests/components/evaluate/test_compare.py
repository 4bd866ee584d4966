import numpy as np
import pytest

from components.evaluate.compare import compare_models, mcnemar


@pytest.mark.parametrize(
    ("only_candidate", "only_reference", "p_value", "verdict"),
    [
        (0, 0, 1.0, "equivalent"),
        (1, 0, 1.0, "equivalent"),
        (4, 4, 1.0, "equivalent"),
        (5, 0, 2 / 2**5, "equivalent"),
        (6, 0, 2 / 2**6, "better"),
        (0, 6, 2 / 2**6, "worse"),
        (1, 8, 2 * (1 + 9) / 2**9, "worse"),
        (3, 12, 2 * (1 + 15 + 105 + 455) / 2**15, "worse"),
        (12, 3, 2 * (1 + 15 + 105 + 455) / 2**15, "better"),
        (10, 2, 2 * (1 + 12 + 66) / 2**12, "better"),
        (9, 3, 2 * (1 + 12 + 66 + 220) / 2**12, "equivalent"),
    ],
)
def test_exact_mcnemar(only_candidate: int, only_reference: int, p_value: float, verdict: str) -> None:
    comparison = mcnemar(only_candidate, only_reference, 1000)

    assert comparison.p_value == pytest.approx(p_value)
    assert comparison.verdict == verdict


def test_no_p_value_is_given_as_0() -> None:
    assert mcnemar(6, 4658, 10_000).p == "p below 0.0001"
    assert mcnemar(6, 0, 1000).p == "p = 0.031"


def test_only_images_that_one_model_gets_right_count() -> None:
    labels = np.array([0, 1, 2, 3, 4], np.uint8)
    one_hot = np.eye(10, dtype=np.float32)
    candidate = one_hot[[0, 1, 2, 9, 9]]
    reference = one_hot[[0, 9, 9, 3, 8]]

    comparison = compare_models(labels, candidate, reference)

    assert (comparison.only_candidate_right, comparison.only_reference_right) == (2, 1)


@pytest.mark.parametrize(
    ("only_candidate", "only_reference", "examples", "interval"),
    [
        # By hand: (b - c)/n ± 1.96 sqrt(b + c - (b - c)²/n)/n with b, c half an image and n two images more.
        (12, 3, 1000, (0.0011776, 0.0167865)),
        (3, 12, 1000, (-0.0167865, -0.0011776)),
        (0, 0, 10_000, (-0.000196, 0.000196)),
    ],
)
def test_interval_of_the_difference(
    only_candidate: int, only_reference: int, examples: int, interval: tuple[float, float]
) -> None:
    comparison = mcnemar(only_candidate, only_reference, examples)

    assert comparison.difference == pytest.approx((only_candidate - only_reference) / examples)
    assert comparison.difference_interval == pytest.approx(interval, abs=1e-6)
