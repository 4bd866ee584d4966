"""Two models on the same test images, paired."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SIGNIFICANCE = 0.05

Verdict = Literal["better", "equivalent", "worse"]


@dataclass(frozen=True)
class Comparison:
    """A candidate against a reference.

    Images that both get right, or both wrong, say nothing about which is better; McNemar's exact test asks
    whether the two discordant counts could come from a fair coin.
    """

    only_candidate_right: int
    only_reference_right: int
    p_value: float
    verdict: Verdict


def compare(
    labels: NDArray[np.uint8], candidate: NDArray[np.float32], reference: NDArray[np.float32]
) -> Comparison:
    """Compare two models' probabilities, each N x 10, for the same N labelled images."""
    candidate_right = candidate.argmax(axis=1) == labels
    reference_right = reference.argmax(axis=1) == labels
    return judge(
        int(np.sum(candidate_right & ~reference_right)), int(np.sum(reference_right & ~candidate_right))
    )


def judge(only_candidate_right: int, only_reference_right: int) -> Comparison:
    """Test the discordant counts, two-sided; p < 0.05 decides."""
    from scipy.stats import binomtest

    discordant = only_candidate_right + only_reference_right
    p_value = float(binomtest(only_candidate_right, discordant).pvalue) if discordant else 1.0
    verdict: Verdict = "equivalent"
    if p_value < SIGNIFICANCE:
        verdict = "better" if only_candidate_right > only_reference_right else "worse"
    return Comparison(only_candidate_right, only_reference_right, p_value, verdict)
