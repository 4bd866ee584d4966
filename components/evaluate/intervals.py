"""95% intervals of shares, and of means over classes, that hold for small test splits too."""

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95

Interval = tuple[float, float]
Numbers = NDArray[np.integer] | NDArray[np.floating]
# Numbers of images by kind, which need not be whole, and the weight of an image of each kind.
Weighted = tuple[Numbers, NDArray[np.floating]]


def share_intervals(hits: Numbers, totals: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the exact intervals (Clopper and Pearson) of shares, N x 2.

    Unlike other intervals they hold at least 95% of the time for few images, and for shares near 0 and 1.

    Args:
        hits: Images of the kind, N; they need not be whole.
        totals: All images, N, each above 0.
    """
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, beta.ppf(tail, hits, totals - hits + 1), 0.0)
        high = np.where(hits < totals, beta.isf(tail, hits + 1, totals - hits), 1.0)
    return np.stack([low, high], axis=1)


def share_interval(hits: float, total: int) -> Interval:
    """Return the exact interval of one share."""
    ((low, high),) = share_intervals(np.array([float(hits)]), np.array([total])).tolist()
    return low, high


def mean_interval(right: Weighted, wrong: Weighted) -> Interval:
    """Return the interval of a mean to which images add by different weights (Fay and Feuer 1997).

    It is exact for equal weights and a small sum of the rarer kind, and holds more often than 95% else.

    Args:
        right: Numbers of right answers, and what each adds to the mean.
        wrong: Numbers of mistakes, and what each takes from 1. Kinds that could occur and do not have a number of 0.
    """
    low, high = _sum_interval(*wrong)
    if float(np.dot(*wrong)) > 0.5:
        return _sum_interval(*right)
    return 1 - high, 1 - low


def _sum_interval(counts: Numbers, weights: NDArray[np.floating]) -> Interval:
    from scipy.stats import gamma

    tail = (1 - CONFIDENCE) / 2
    total, variance, largest = counts @ weights, counts @ weights**2, weights.max()
    low = gamma.ppf(tail, total**2 / variance, scale=variance / total) if total else 0.0
    more, spread = total + largest, variance + largest**2
    high = gamma.isf(tail, more**2 / spread, scale=spread / more)
    return float(low), min(float(high), 1.0)
