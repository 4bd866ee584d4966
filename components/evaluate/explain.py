"""Grad-CAM, saliency, and feature maps of the first convolution."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.common.model.classifier import Classifier

if TYPE_CHECKING:
    import tensorflow as tf

# Number of noisy copies that saliency is averaged over, and the noise's standard deviation on scaled images.
COPIES = 16
# Values of the noisy copies that pass through the network at a time.
COPY_VALUES = 2**20
NOISE = 0.1
SEED = 0


@dataclass(frozen=True, eq=False)
class Explanation:
    """Evidence in N images for the predicted class; each map is scaled to 0..1.

    Attributes:
        images: uint8, N x height x width x channels.
        saliency: N x height x width, sensitivity of the class's score to each pixel, summed over the channels.
        grad_cam: N x height x width, places where features of the last convolution support the class.
    """

    images: NDArray[np.uint8]
    saliency: NDArray[np.float32]
    grad_cam: NDArray[np.float32]


def convolutions(classifier: Classifier) -> list[int]:
    """Return the positions of the convolutions in the chain of layers; none where the model is no such chain."""
    from keras.layers import Conv2D

    return [number for number, layer in enumerate(classifier.chain) if isinstance(layer, Conv2D)]


def explain_predictions(classifier: Classifier, images: NDArray[np.uint8]) -> Explanation:
    """Explain the predictions for a few images of a model that has `convolutions`.

    Saliency is averaged over noisy copies (SmoothGrad). Grad-CAM multiplies each place of a feature by the gradient at
    that place (HiResCAM). This is exact where a dense layer reads flattened features; with gradients averaged over all
    places it would not be.

    Args:
        classifier: The model.
        images: uint8, N x height x width x channels.
    """
    # Integers have no gradient, so the gradient is taken at the scaled images.
    scaled = _through(classifier.chain[:1], classifier.inputs(images))
    by_value = _saliency(classifier.chain[1:], scaled).reshape(images.shape)
    return Explanation(
        images,
        _to_unit(by_value.sum(axis=-1)),
        _to_unit(_enlarged(_grad_cam(classifier.chain[1:], scaled), images.shape[:3])),
    )


def _saliency(layers: list[Any], scaled: Any) -> NDArray[np.float32]:
    """Return the mean absolute gradient of the score at noisy copies of the images, in the shape of the images."""
    import tensorflow as tf

    scaled = tf.cast(scaled, tf.float32)
    noise = tf.random.stateless_normal((COPIES, *scaled.shape), (SEED, 0), stddev=NOISE)
    copies = tf.reshape(scaled + noise, (-1, *scaled.shape[1:]))
    step = max(1, COPY_VALUES // math.prod(scaled.shape[1:]))
    gradients = []
    for start in range(0, len(copies), step):
        with tf.GradientTape() as tape:
            noisy = copies[start : start + step]
            tape.watch(noisy)
            score = _score(_through(layers, noisy))
        gradients.append(np.abs(np.asarray(tape.gradient(score, noisy))))
    saliency: NDArray[np.float32] = np.concatenate(gradients).reshape(COPIES, *scaled.shape).mean(axis=0)
    return saliency


def _grad_cam(layers: list[Any], scaled: Any) -> NDArray[np.float32]:
    """Return the evidence at each place of the last features, N x their height x their width."""
    import tensorflow as tf

    flat = next(number for number, layer in enumerate(layers) if len(layer.output.shape) == 2)
    with tf.GradientTape() as tape:
        features = _through(layers[:flat], tf.cast(scaled, tf.float32))
        tape.watch(features)
        score = _score(_through(layers[flat:], features))
    by_feature = tf.cast(tape.gradient(score, features), tf.float32)
    return np.asarray(tf.nn.relu(tf.reduce_sum(by_feature * tf.cast(features, tf.float32), axis=-1)))


def _through(layers: list[Any], inputs: Any) -> Any:
    for layer in layers:
        inputs = layer(inputs)
    return inputs


def _score(probabilities: "tf.Tensor") -> "tf.Tensor":
    """Return the sum over all images of the predicted class's logit minus the mean of the image's logits.

    The gradient of a saturated softmax is 0; that of its logits is not.
    """
    import tensorflow as tf

    logs = tf.math.log(tf.maximum(tf.cast(probabilities, tf.float32), np.finfo(np.float32).tiny))
    return tf.reduce_sum(tf.reduce_max(logs, axis=1) - tf.reduce_mean(logs, axis=1))


def _enlarged(maps: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    from scipy.ndimage import zoom

    factors = [target / size for target, size in zip(shape, maps.shape, strict=True)]
    enlarged: NDArray[np.float32] = zoom(maps, factors, order=1, grid_mode=True, mode="nearest")
    return enlarged


def _to_unit(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    highest = maps.max(axis=(1, 2), keepdims=True)
    unit: NDArray[np.float32] = np.clip(maps / np.maximum(highest, np.finfo(np.float32).tiny), 0, 1)
    return unit


def first_features(classifier: Classifier, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the output of the first convolution, filters x height x width, for one image with its channels."""
    features = _through(classifier.chain[: convolutions(classifier)[0] + 1], classifier.inputs(image[None]))
    maps: NDArray[np.float32] = np.asarray(features).astype(np.float32)[0].transpose(2, 0, 1)
    return maps
