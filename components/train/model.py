"""The CNN: the tutorial's architecture, with the options of `TrainConfig`."""

from typing import Any

import keras
from keras import layers

from components.common.data.dataset import CLASSES, IMAGE_SHAPE
from components.common.plan.training import TrainConfig
from components.train.devices import dtype_policy
from components.train.normalization import FusedBatchNormalization

# Pixels down and right that each view is moved by.
VIEWS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


def build_model(config: TrainConfig, *, for_training: bool = False) -> keras.Model:
    """Build the untrained model.

    It takes uint8 images (N x 28 x 28), scales them, and returns float32 class probabilities (N x 10). It is made of
    Keras's layers only, so it loads wherever Keras is installed.

    Args:
        config: Options of the training.
        for_training: Build the same model, with the same weights, from layers that train faster, and with one view.
    """
    keras.config.set_dtype_policy(dtype_policy(config.precision))
    model = keras.Sequential([keras.Input(IMAGE_SHAPE, dtype="uint8", name="image")], name="cnn")
    model.add(layers.Rescaling(1 / 255))
    model.add(layers.Reshape((*IMAGE_SHAPE, 1)))
    if config.crop:
        model.add(layers.Cropping2D(config.crop))
    for number, block in enumerate(config.filters, start=1):
        for position, filters in enumerate(block, start=1):
            model.add(layers.Conv2D(filters, 3, **_kernel(config)))
            # ReLU commutes with max pooling: the same function, of a quarter of the values.
            if position == len(block) and number < len(config.filters):
                model.add(layers.MaxPooling2D(2))
            _activate(model, config, for_training=for_training)
    model.add(layers.Flatten())
    model.add(layers.Dense(config.dense_units, **_kernel(config)))
    _activate(model, config, for_training=for_training)
    if config.dropout:
        model.add(layers.Dropout(config.dropout))
    averaged = config.views > 1 and not for_training
    model.add(layers.Dense(CLASSES, activation=None if averaged else "softmax", dtype="float32"))
    return _averaged(model) if averaged else model


def _averaged(model: keras.Model) -> keras.Model:
    """Average the logits of the views; pixels that leave a view enter it again at the opposite border."""
    image = keras.Input(IMAGE_SHAPE, dtype="uint8", name="image")
    logits = [model(keras.ops.roll(image, move, (1, 2))) for move in VIEWS]
    mean = layers.Average(dtype="float32")(logits)
    return keras.Model(image, layers.Softmax(dtype="float32")(mean), name="cnn_views")


def _kernel(config: TrainConfig) -> dict[str, Any]:
    # The tutorial's initialization, and for Muon the uniform one in +-1/sqrt(inputs).
    initializer = (
        keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        if config.optimizer == "muon"
        else keras.initializers.GlorotUniform()
    )
    return {"kernel_initializer": initializer, "use_bias": not config.batch_norm}


def _activate(model: keras.Sequential, config: TrainConfig, *, for_training: bool) -> None:
    if config.batch_norm:
        normalization = FusedBatchNormalization if for_training else layers.BatchNormalization
        model.add(normalization(momentum=0.9))
    model.add(layers.ReLU())
