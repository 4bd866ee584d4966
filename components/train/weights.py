"""A digest that names a model's weights."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def weights_digest(model: "keras.Model") -> str:
    """Return the sha256 over the weights' shapes, types and bytes, in the model's order."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
