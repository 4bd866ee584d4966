"""The CNN: the tutorial's architecture, with the options of `TrainConfig`."""

from typing import TYPE_CHECKING

from components.common.dataset import CLASSES, IMAGE_SHAPE
from components.train.config import TrainConfig
from components.train.precision import dtype_policy

if TYPE_CHECKING:
    import keras


def build_model(config: TrainConfig) -> "keras.Model":
    """Build the untrained model.

    Its input is uint8 images (N x 28 x 28), scaled inside; its output is float32 class probabilities (N x 10). It is
    made of Keras's own layers only, so that it loads wherever Keras is.
    """
    import keras
    from keras import layers

    keras.config.set_dtype_policy(dtype_policy(config.precision))
    model = keras.Sequential([keras.Input(IMAGE_SHAPE, dtype="uint8", name="image")], name="cnn")
    model.add(layers.Rescaling(1 / 255))
    model.add(layers.Reshape((*IMAGE_SHAPE, 1)))
    if config.crop:
        model.add(layers.Cropping2D(config.crop))
    for index, filters in enumerate(config.filters):
        if index:
            model.add(layers.MaxPooling2D(2))
        model.add(layers.Conv2D(filters, 3))
        if config.batch_norm:
            model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    model.add(layers.Dense(config.dense_units, activation="relu"))
    if config.dropout:
        model.add(layers.Dropout(config.dropout))
    model.add(layers.Dense(CLASSES, activation="softmax", dtype="float32"))
    return model
