"""Tests of whether requests differ from a reference by more than is tolerated.

Each gives a p value that is below any rate in at most that share of windows whose difference is the tolerated one. The
distributions are scipy's. Its ready tests ask whether there is any difference at all, which there always is.
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]
Counts = NDArray[np.integer]


def distribution_test(found: Values, reference: Values, tolerated: float) -> tuple[float, float]:
    """Compare two samples by the largest distance of their distribution functions (Kolmogorov and Smirnov).

    Where a share of the images changes in any way, that distance changes by at most the share. So the part of it up to
    `tolerated` is taken off before its chance is found.

    Args:
        found: Of the requests, N.
        reference: Of the reference, M.
        tolerated: Share of the requests that may be otherwise.

    Returns:
        The distance, 0 to 1, and the p value.
    """
    from scipy.stats import ks_2samp, kstwo

    distance = float(ks_2samp(found, reference, method="asymp").statistic)
    size = round(len(found) * len(reference) / (len(found) + len(reference)))
    return distance, float(kstwo.sf(max(0.0, distance - tolerated), max(1, size)))


def growth_tests(
    found: Counts, of: int, reference: Counts, reference_of: int, tolerated: float, unknown: float
) -> Values:
    """Ask of each of K counts whether its share has grown by more than is tolerated; exact binomial tests.

    The reference's share is not known exactly. It is taken as the upper end of an interval that misses it with the
    chance `unknown` over all tests, which is added to the p values (Berger and Boos 1994).

    Args:
        found: Among the requests, K.
        of: Number of requests.
        reference: In the reference, K.
        reference_of: Number of images of the reference.
        tolerated: Growth of the share that is none.
        unknown: Chance that is given away for not knowing the reference's shares exactly.

    Returns:
        P values, K.
    """
    from scipy.stats import beta, binom

    miss = unknown / len(found)
    upper = np.where(
        reference < reference_of,
        beta.ppf(1 - miss, reference + 1, np.maximum(reference_of - reference, 1)),
        1.0,
    )
    chances: Values = binom.sf(found - 1, of, np.minimum(1.0, upper + tolerated))
    p_values: Values = np.minimum(1.0, chances + miss)
    return p_values


def adjusted(p_values: Values) -> Values:
    """Adjust the p values of several tests so that each can be compared with the rate of all of them (Holm 1979)."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    rising = np.maximum.accumulate(p_values[order] * factors)
    found = np.empty(len(p_values))
    found[order] = np.minimum(1.0, rising)
    return found
