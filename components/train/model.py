"""The CNN: the tutorial's architecture, with the options of `TrainConfig`."""

from typing import Any

import keras
from keras import layers

from components.common.data.spec import ImageSpec
from components.common.plan.network import network_of, reach
from components.common.plan.training import TrainConfig
from components.train.devices import dtype_policy
from components.train.normalization import FusedBatchNormalization

# Steps down and right that each view is moved by.
VIEWS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


def build_model(config: TrainConfig, spec: ImageSpec, *, for_training: bool = False) -> keras.Model:
    """Build the untrained model.

    It takes uint8 images (N x height x width x channels), scales them, and returns float32 class probabilities (N x
    classes). It is made of Keras's layers only, so it loads wherever Keras is installed.

    Args:
        config: Options of the training.
        spec: Description of the images.
        for_training: Build the same model, with the same weights, from layers that train faster, and with one view.

    Raises:
        PipelineError: The images are too small for the configuration.
    """
    keras.config.set_dtype_policy(dtype_policy(config.precision))
    network = network_of(config, spec)
    # All at once: `Sequential.add` would build the model anew with each layer.
    stack: list[Any] = [keras.Input(spec.shape, dtype="uint8", name="image"), layers.Rescaling(1 / 255)]
    if network.crop:
        stack.append(layers.Cropping2D(network.crop))
    for convolution in network.convolutions:
        stack.append(layers.Conv2D(convolution.filters, 3, padding=convolution.padding, **_kernel(config)))
        # ReLU commutes with max pooling: the same function, of a quarter of the values.
        if convolution.pool != (1, 1):
            stack.append(layers.MaxPooling2D(convolution.pool))
        stack += _activation(config, for_training=for_training)
    stack.append(layers.GlobalAveragePooling2D() if network.averaged else layers.Flatten())
    stack.append(layers.Dense(config.dense_units, **_kernel(config)))
    stack += _activation(config, for_training=for_training)
    if config.dropout:
        stack.append(layers.Dropout(config.dropout))
    averaged = config.views > 1 and not for_training
    stack.append(layers.Dense(len(spec.classes), activation=None if averaged else "softmax", dtype="float32"))
    model = keras.Sequential(stack, name="cnn")
    return _averaged(model, spec) if averaged else model


def _averaged(model: keras.Model, spec: ImageSpec) -> keras.Model:
    """Average the logits of the views; pixels that leave a view enter it again at the opposite border."""
    image = keras.Input(spec.shape, dtype="uint8", name="image")
    step = reach(spec)
    logits = [model(keras.ops.roll(image, (step * down, step * right), (1, 2))) for down, right in VIEWS]
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


def _activation(config: TrainConfig, *, for_training: bool) -> list[keras.Layer]:
    if not config.batch_norm:
        return [layers.ReLU()]
    normalization = FusedBatchNormalization if for_training else layers.BatchNormalization
    return [normalization(momentum=0.9), layers.ReLU()]
