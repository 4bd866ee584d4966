"""scikit-learn's bundled 8 x 8 digits in MNIST's format, for use without a network."""

import numpy as np
from numpy.typing import NDArray

from components.ingest.form import Form, Part

SMALL, LARGE, MARGIN = 8, 20, 4
BRIGHTEST = 16


def digits_form() -> Form:
    """Return the data set; its test part is the last fifth of each class, which other people wrote than the rest."""
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images, labels = _enlarged(bundled.images), bundled.target
    is_test = np.zeros(len(labels), dtype=bool)
    for digit in np.unique(labels):
        numbers = np.flatnonzero(labels == digit)
        is_test[numbers[-(len(numbers) // 5) :]] = True
    address = "sklearn.datasets.load_digits"

    def part(chosen: NDArray[np.bool_]) -> Part:
        return Part(address, lambda: iter([(images[chosen], labels[chosen])]))

    return Form("scikit-learn", address, {"train": part(~is_test), "test": part(is_test)})


def _enlarged(images: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Enlarge 8 x 8 images with values 0 to 16 to 20 x 20 with 0 to 255, and centre them in 28 x 28.

    The interpolation is bilinear. It uses whole numbers, so that every machine gets the same bytes.
    """
    unit = LARGE - 1
    left, weight = np.divmod(np.arange(LARGE) * (SMALL - 1), unit)
    spread = np.zeros((LARGE, SMALL), dtype=np.int64)
    spread[np.arange(LARGE), left] = unit - weight
    spread[np.arange(LARGE - 1), left[:-1] + 1] = weight[:-1]
    sums = spread @ images.astype(np.int64) @ spread.T
    full = BRIGHTEST * unit**2
    large = ((sums * 255 + full // 2) // full).astype(np.uint8)
    return np.pad(large, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
