"""What a model looks at: Grad-CAM, saliency and the features of its first convolution."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.common.model.classifier import Classifier

if TYPE_CHECKING:
    import tensorflow as tf

COPIES = 16
NOISE = 0.1
SEED = 0


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where N images speak for the class that the model predicts; each map is scaled to 0..1.

    Attributes:
        images: uint8, N x 28 x 28.
        saliency: N x 28 x 28, how much the class's score reacts to each pixel.
        grad_cam: N x 28 x 28, where the last convolution finds what speaks for the class.
    """

    images: NDArray[np.uint8]
    saliency: NDArray[np.float32]
    grad_cam: NDArray[np.float32]


def convolutions(classifier: Classifier) -> list[int]:
    """Return where in the chain of layers the convolutions are; none where the model is no chain."""
    from keras.layers import Conv2D

    return [number for number, layer in enumerate(classifier.chain) if isinstance(layer, Conv2D)]


def explain(classifier: Classifier, images: NDArray[np.uint8]) -> Explanation:
    """Explain the predictions for a few images, of a model that has `convolutions`.

    Saliency is averaged over noisy copies (SmoothGrad). Grad-CAM weighs each place of a feature by its own gradient
    (HiResCAM), which is exact where a dense layer reads flattened features; weights averaged over the places are not.
    """
    import tensorflow as tf

    layers = classifier.chain
    flat = next(number for number, layer in enumerate(layers) if len(layer.output.shape) == 2)
    # Whole numbers have no gradient: what is watched are the scaled images.
    scaled = tf.cast(_through(layers[:1], images), tf.float32)
    noise = tf.random.stateless_normal((COPIES, *images.shape), (SEED, 0), stddev=NOISE)
    with tf.GradientTape() as tape:
        given = tf.reshape(scaled + noise, (-1, *images.shape[1:]))
        tape.watch(given)
        score = _score(_through(layers[1:], given))
    by_pixel = tf.reshape(tape.gradient(score, given), (COPIES, *images.shape))
    with tf.GradientTape() as tape:
        features = _through(layers[1:flat], scaled)
        tape.watch(features)
        score = _score(_through(layers[flat:], features))
    by_feature = tf.cast(tape.gradient(score, features), tf.float32)
    evidence = tf.nn.relu(tf.reduce_sum(by_feature * tf.cast(features, tf.float32), axis=-1))
    return Explanation(
        images,
        _to_unit(np.abs(np.asarray(by_pixel)).mean(axis=0)),
        _to_unit(_enlarged(np.asarray(evidence), images.shape)),
    )


def _through(layers: list[Any], inputs: Any) -> Any:
    for layer in layers:
        inputs = layer(inputs)
    return inputs


def _score(probabilities: "tf.Tensor") -> "tf.Tensor":
    """The predicted class's logit less the mean of all: a sure softmax has no gradient, its logits do."""
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
    """Return the maps, filters x height x width, that the first convolution makes of one image."""
    features = _through(classifier.chain[: convolutions(classifier)[0] + 1], image[None])
    maps: NDArray[np.float32] = np.asarray(features).astype(np.float32)[0].transpose(2, 0, 1)
    return maps
