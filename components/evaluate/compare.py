"""Two models on the same test images, paired."""

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
    """A candidate against a reference.

    Images that both get right, or both wrong, say nothing about which is better; McNemar's exact test asks
    whether the two discordant counts could come from a fair coin. `difference` is the candidate's accuracy less
    the reference's, with its 95% interval for pairs.
    """

    difference: float
    difference_interval: tuple[float, float]
    only_candidate_right: int
    only_reference_right: int
    p_value: float
    verdict: Verdict

    @property
    def p(self) -> str:
        """The p value in words; that of thousands of images is 0 in floating point, though not in truth."""
        return f"p = {self.p_value:.2g}" if self.p_value >= SMALLEST_P else f"p below {SMALLEST_P:g}"


def compare(
    labels: NDArray[np.uint8], candidate: NDArray[np.float32], reference: NDArray[np.float32]
) -> Comparison:
    """Compare two models' probabilities, each N x 10, for the same N labelled images."""
    candidate_right = candidate.argmax(axis=1) == labels
    reference_right = reference.argmax(axis=1) == labels
    return judge(
        int(np.sum(candidate_right & ~reference_right)),
        int(np.sum(reference_right & ~candidate_right)),
        len(labels),
    )


def judge(only_candidate_right: int, only_reference_right: int, examples: int) -> Comparison:
    """Test the discordant counts among `examples` images, two-sided; p < 0.05 decides."""
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
    """The 95% interval of Agresti and Min (2005): Wald's with half an image more in each cell, sound for few pairs."""
    b, c, n = gained + 0.5, lost + 0.5, examples + 2
    centre = (b - c) / n
    reach = Z_95 * math.sqrt(b + c - (b - c) ** 2 / n) / n
    return max(centre - reach, -1.0), min(centre + reach, 1.0)
