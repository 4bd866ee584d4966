"""Paired comparison of two models on the same test images."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SIGNIFICANCE = 0.05
SMALLEST_P = 0.0001
Z_95 = 1.959964

Verdict = Literal["better", "equivalent", "worse"]


@dataclass(frozen=True)
class Comparison:
    """A candidate compared with a reference.

    Images that both models get right, or both wrong, do not show which model is better. McNemar's exact test checks
    whether the numbers of the other images could come from tosses of a fair coin.

    Attributes:
        difference: The candidate's accuracy minus the reference's.
        difference_interval: 95% interval of the difference, for paired data.
        only_candidate_right: Number of images that only the candidate gets right.
        only_reference_right: Number of images that only the reference gets right.
        p_value: Two-sided, of McNemar's exact test.
        verdict: "equivalent" where the p value is 0.05 or more.
    """

    difference: float
    difference_interval: tuple[float, float]
    only_candidate_right: int
    only_reference_right: int
    p_value: float
    verdict: Verdict

    @property
    def p(self) -> str:
        """The p value as text; a very small one is given as a bound, since floating point may round it to 0."""
        return f"p = {self.p_value:.2g}" if self.p_value >= SMALLEST_P else f"p below {SMALLEST_P:g}"


def compare_models(
    labels: NDArray[np.integer], candidate: NDArray[np.float32], reference: NDArray[np.float32]
) -> Comparison:
    """Compare two models' probabilities, each N x classes, for the same N labelled images."""
    candidate_right = candidate.argmax(axis=1) == labels
    reference_right = reference.argmax(axis=1) == labels
    return mcnemar(
        int(np.sum(candidate_right & ~reference_right)),
        int(np.sum(reference_right & ~candidate_right)),
        len(labels),
    )


def mcnemar(only_candidate_right: int, only_reference_right: int, examples: int) -> Comparison:
    """Compare two models by the images that only one of them gets right, among `examples` images."""
    from scipy.stats import binomtest

    discordant = only_candidate_right + only_reference_right
    p_value = float(binomtest(only_candidate_right, discordant).pvalue) if discordant else 1.0
    verdict: Verdict = "equivalent"
    if p_value < SIGNIFICANCE:
        verdict = "better" if only_candidate_right > only_reference_right else "worse"
    return Comparison(
        difference=(only_candidate_right - only_reference_right) / examples,
        difference_interval=_difference_interval(only_candidate_right, only_reference_right, examples),
        only_candidate_right=only_candidate_right,
        only_reference_right=only_reference_right,
        p_value=p_value,
        verdict=verdict,
    )


def _difference_interval(gained: int, lost: int, examples: int) -> tuple[float, float]:
    """Return the 95% interval of Agresti and Min (2005).

    It is Wald's interval with half an image added to each cell, which makes it valid for few pairs too.
    """
    b, c, n = gained + 0.5, lost + 0.5, examples + 2
    centre = (b - c) / n
    reach = Z_95 * math.sqrt(b + c - (b - c) ** 2 / n) / n
    return max(centre - reach, -1.0), min(centre + reach, 1.0)
