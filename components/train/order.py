"""The images of each step, read from arrays that may be larger than memory."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split


class BatchOrder:
    """Full batches without end: pass after pass over the split, each in a new random order.

    The order depends on the seed alone, so a training can be resumed at any step. A batch may hold the end of one
    pass and the beginning of the next.

    Attributes:
        split: Images and labels.

    Args:
        split: Images and labels.
        batch_size: Images a batch.
        seed: Seed of the order.
    """

    def __init__(self, split: Split, batch_size: int, seed: int) -> None:
        self.split = split
        self._batch_size = batch_size
        self._seed = seed
        self._permutation = lru_cache(maxsize=1)(self._new_permutation)

    def _new_permutation(self, number: int) -> NDArray[np.uint32]:
        rows = np.arange(len(self.split.labels), dtype=np.uint32)
        np.random.default_rng([self._seed, number]).shuffle(rows)
        return rows

    def rows(self, first: int, last: int) -> NDArray[np.uint32]:
        """Return the places in the split of the images of the steps from `first` up to `last`, exclusive."""
        count = len(self.split.labels)
        begin, end = first * self._batch_size, last * self._batch_size
        passes = range(begin // count, (end - 1) // count + 1)
        parts = [
            self._permutation(number)[max(0, begin - number * count) : end - number * count]
            for number in passes
        ]
        return np.concatenate(parts)

    def batches(self, first: int, last: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Read the images and labels of the steps from `first` up to `last`, exclusive.

        Returns:
            Images (uint8, steps x B x height x width x channels) and labels (steps x B).
        """
        rows = self.rows(first, last)
        shape = (last - first, self._batch_size)
        images = self.split.images[rows]
        return images.reshape(*shape, *images.shape[1:]), self.split.labels[rows].reshape(shape)
