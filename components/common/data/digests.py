"""Digests of single images, to find equal ones."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16


def image_digests(chunks: Iterable[NDArray[np.uint8]], key: bytes = b"") -> NDArray[np.bytes_]:
    """Return a digest of 16 bytes for each image: two images have the same one where all their bytes are equal.

    Args:
        chunks: Images, N x height x width x channels, chunk by chunk.
        key: Makes other digests of the same images.
    """
    found = [
        b"".join(
            [
                blake2b(image, digest_size=DIGEST_BYTES, key=key).digest()
                for image in np.ascontiguousarray(images)
            ]
        )
        for images in chunks
    ]
    return np.frombuffer(b"".join(found), f"S{DIGEST_BYTES}")


def first_places(digests: NDArray[np.bytes_]) -> NDArray[np.intp]:
    """Return for each digest the place of the first one that is equal to it."""
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    return first[inverse]
