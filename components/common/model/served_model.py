"""The model as it answers: a compiled function from uint8 images to class probabilities.

Stands alone: MLflow keeps a copy of this file with every registered model and serves through it, wherever that is.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH_SIZE = 256
# Values of the images of one batch, which bounds the memory that a model of large images needs.
BATCH_VALUES = 2**21
INPUT = "image"


class ServedModel:
    """A Keras model as it is now, compiled once for batches of every size.

    Keras's own `predict` builds an input pipeline for every call, which takes longer than hundreds of images do.
    """

    def __init__(self, model: Any) -> None:
        import tensorflow as tf

        self.shape = tuple(model.inputs[0].shape[1:])
        self.batch_size = max(1, min(BATCH_SIZE, BATCH_VALUES // math.prod(self.shape)))
        weights = [
            [variable.numpy() for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]

        def answer(batch: Any) -> Any:
            # As constants, which TensorFlow prepares once; what it would do to variables it does for every call.
            constants = [[tf.constant(array) for array in arrays] for arrays in weights]
            return model.stateless_call(*constants, batch, training=False)[0]

        signature = [tf.TensorSpec((None, *self.shape), tf.uint8)]
        self._compiled = tf.function(answer, signature, autograph=False).get_concrete_function()

    def predict(
        self, images: NDArray[np.uint8] | Mapping[str, NDArray[np.uint8]], params: object = None
    ) -> NDArray[np.float32]:
        """Return the probabilities, float32 N x classes, of N images, which may come by the input's name.

        Raises:
            ValueError: They are not uint8 of the shape that the model takes.
        """
        del params  # MLflow passes it on
        import tensorflow as tf

        if isinstance(images, Mapping):
            images = images[INPUT]
        if images.dtype != np.uint8 or images.shape[1:] != self.shape:
            size = " x ".join(map(str, ("N", *self.shape)))
            raise ValueError(f"images must be {size} of type uint8 but are {images.shape} of {images.dtype}")
        # No images are one empty batch, whose answer has the right shape.
        starts = range(0, max(1, len(images)), self.batch_size)
        batches = [
            self._compiled(tf.constant(images[start : start + self.batch_size])).numpy() for start in starts
        ]
        return np.concatenate(batches).astype(np.float32, copy=False)


def _load_pyfunc(path: str) -> ServedModel:
    """Load the model for MLflow, which calls this with the directory that holds the Keras file."""
    from keras.saving import load_model

    return ServedModel(load_model(Path(path) / "model.keras", compile=False, safe_mode=True))
