"""Hold-out of a test part from data that comes without one."""

import numpy as np
from numpy.typing import NDArray

SHARE = 0.2


def held_out(digests: NDArray[np.bytes_], labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Choose the images of the test part by their content: about a fifth of each class, and at least one.

    An image stays in its part when others are added to the data, and equal images are in one part.

    Args:
        digests: Digest of each image, made with the seed as the key.
        labels: The class of each image.
    """
    first = np.frombuffer(digests.tobytes(), ">u8").reshape(len(digests), -1)[:, 0]
    chosen: NDArray[np.bool_] = first < np.uint64(SHARE * 2.0**64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if not chosen[rows].any() and len(rows) > 1:
            chosen[rows[first[rows] == first[rows].min()]] = True
    return chosen
