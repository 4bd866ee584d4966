"""Paired comparison of two models on the same test images."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SIGNIFICANCE = 0.05
SMALLEST_P = 0.0001
# Difference of two accuracies up to which two models are as good as each other.
MARGIN = 0.002

Verdict = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """A candidate compared with a reference.

    Images that both models get right, or both wrong, do not show which model is better. The score test for paired
    shares (Tango 1998; McNemar's test where the difference is 0) asks of the others which differences of the two
    accuracies they fit. P value, interval and verdict are all of this one test, so that they agree.

    Attributes:
        difference: The candidate's accuracy minus the reference's.
        difference_interval: 95% interval of the difference: all that the test does not reject at 5%.
        only_candidate_right: Number of images that only the candidate gets right.
        only_reference_right: Number of images that only the reference gets right.
        p_value: Two-sided, of the difference 0.
        verdict: "better" or "worse" where the p value is below 0.05. Else "equivalent" where both a difference of
            `margin` and one of minus `margin` are rejected, each at 5% (two one-sided tests), and else "undecided".
        margin: The difference up to which models count as equivalent.
        power: Probability that a true gain of `margin` would be found better on so many images, where the models differ
            on as many of them as these do; by the normal distribution.
    """

    difference: float
    difference_interval: tuple[float, float]
    only_candidate_right: int
    only_reference_right: int
    p_value: float
    verdict: Verdict
    margin: float
    power: float

    @property
    def p(self) -> str:
        """The p value as text; a very small one is given as a bound, since floating point may round it to 0."""
        return f"p = {self.p_value:.2g}" if self.p_value >= SMALLEST_P else f"p below {SMALLEST_P:g}"


def compare_models(
    labels: NDArray[np.integer],
    candidate: NDArray[np.float32],
    reference: NDArray[np.float32],
    margin: float = MARGIN,
) -> Comparison:
    """Compare two models' probabilities, each N x classes, for the same N labelled images."""
    candidate_right = candidate.argmax(axis=1) == labels
    reference_right = reference.argmax(axis=1) == labels
    return compare_counts(
        int(np.sum(candidate_right & ~reference_right)),
        int(np.sum(reference_right & ~candidate_right)),
        len(labels),
        margin,
    )


def compare_counts(
    only_candidate_right: int, only_reference_right: int, examples: int, margin: float = MARGIN
) -> Comparison:
    """Compare two models by the images that only one of them gets right, among `examples` images."""
    from scipy.stats import norm

    counts = only_candidate_right, only_reference_right, examples
    p_value = float(2 * norm.sf(abs(_score(*counts, 0.0))))
    one_sided = float(norm.isf(SIGNIFICANCE))
    verdict: Verdict = "undecided"
    if p_value < SIGNIFICANCE:
        verdict = "better" if only_candidate_right > only_reference_right else "worse"
    elif _score(*counts, -margin) > one_sided and _score(*counts, margin) < -one_sided:
        verdict = "equivalent"
    return Comparison(
        difference=(only_candidate_right - only_reference_right) / examples,
        difference_interval=_difference_interval(*counts),
        only_candidate_right=only_candidate_right,
        only_reference_right=only_reference_right,
        p_value=p_value,
        verdict=verdict,
        margin=margin,
        power=_power(*counts, margin),
    )


def _score(gained: int, lost: int, examples: int, difference: float) -> float:
    """Return how many standard errors the counts lie above a true difference, by the score test for paired shares."""
    # The share of images that only the reference gets right, most likely where the difference is true.
    a, b = 2 * examples, (2 * examples - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = examples * (2 * share + difference * (1 - difference))
    above = gained - lost - examples * difference
    # Without variance only the difference that was observed can be true.
    return above / math.sqrt(variance) if variance > 0 else above and math.copysign(math.inf, above)


def _difference_interval(gained: int, lost: int, examples: int) -> tuple[float, float]:
    """Return the lowest and the highest difference that the test does not reject."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    reach = float(norm.isf(SIGNIFICANCE / 2))
    observed = (gained - lost) / examples

    def bound(sign: int, end: float) -> float:
        if observed == end:
            return end

        def beyond(difference: float) -> float:
            # A search for a root cannot use infinity.
            return min(sign * _score(gained, lost, examples, difference), 2 * reach) - reach

        return float(brentq(beyond, observed, end, xtol=1e-12))

    return bound(1, -1.0), bound(-1, 1.0)


def _power(gained: int, lost: int, examples: int, gain: float) -> float:
    from scipy.stats import norm

    # With one image more no count is 0. Models with a gain differ on at least so many images.
    share = max((gained + lost + 1) / examples, gain)
    spread = math.sqrt(share - gain**2)
    if not spread:
        return 1.0
    reach = norm.isf(SIGNIFICANCE / 2) * math.sqrt(share)
    return float(norm.cdf((gain * math.sqrt(examples) - reach) / spread))
