"""Weights of the classes in the loss, for data in which some are rare."""

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split, class_counts


def class_weights(train: Split) -> NDArray[np.float32]:
    """Return a weight for each class: the inverse of its share, so that all classes count alike.

    The mean weight of the images is 1. A class without an image has the weight 0.

    Args:
        train: Split to learn from.
    """
    counts = np.array(class_counts(train.labels, train.spec))
    present = counts > 0
    return np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0).astype(np.float32)
