"""Class probabilities from a trained or a registered model."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.spec import DIGITS, MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError, first_line
from components.common.model.judgement import Judgement
from components.common.model.lineage import LINEAGE
from components.common.model.served_model import ServedModel
from components.common.model.training_record import Training

if TYPE_CHECKING:
    from keras import Model
    from keras.layers import Dense, Layer


class Classifier:
    """A loaded model, for any number of images.

    >>> classifier = Classifier(directory)
    >>> probabilities = classifier.probabilities(images)

    Args:
        directory: A trained model, or a registered one as MLflow stores it.

    Raises:
        PipelineError: The directory does not hold exactly one Keras model, or it does not load.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self.path = directory, model_file(directory)
        self.model = _load(self.path)
        try:
            self._served = ServedModel(self.model)
        except (ValueError, TypeError) as error:
            raise _refused(self.path, error) from error

    @cached_property
    def spec(self) -> ImageSpec:
        """Description of the images that the model takes, and of its classes.

        Raises:
            PipelineError: The records beside the model are damaged, or those of another model.
        """
        height, width, *channels = self.model.inputs[0].shape[1:]
        sizes = (height, width, channels[0] if channels else 1, self.model.outputs[0].shape[-1])
        recorded = self._recorded_spec()
        if recorded is None:
            like_mnist = sizes == (*MNIST_SPEC.shape, len(DIGITS))
            return MNIST_SPEC if like_mnist else ImageSpec(*sizes[:3], tuple(map(str, range(sizes[3]))))
        if sizes != (*recorded.shape, len(recorded.classes)):
            raise PipelineError(
                f"{self.path} must be the model that its records describe, of {recorded.size} in "
                f"{len(recorded.classes)} classes, but takes {' x '.join(map(str, sizes[:3]))} and has {sizes[3]}: "
                "restore the directory."
            )
        return recorded

    def _recorded_spec(self) -> ImageSpec | None:
        if (self.path.parent / Training.FILE).exists():
            return Training.load(self.path.parent).dataset.spec
        if (self.directory / LINEAGE / Judgement.FILE).exists():
            return Judgement.load(self.directory / LINEAGE).training.dataset.spec
        return None

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the class probabilities of images.

        Args:
            images: uint8, N x height x width x channels; may be memory-mapped, as one batch is read at a time.

        Returns:
            Probabilities, float32, N x classes; each row sums to 1.

        Raises:
            PipelineError: The model does not take such images, or does not return a probability for each class.
        """
        # Models of before take grey images without the channel.
        if images.ndim == 4 and images.shape[3] == 1 and len(self.model.inputs[0].shape) == 3:
            images = images[..., 0]
        try:
            probabilities = self._served.predict(images)
        except (ValueError, TypeError) as error:
            raise _refused(self.path, error) from error
        _check(probabilities, (len(images), self.model.outputs[0].shape[-1]), self.path)
        return probabilities

    @property
    def chain(self) -> "list[Layer]":
        """The layers from image to probabilities, in order; where views are averaged, the layers of one view.

        Empty where the layers are no such chain.
        """
        from keras import Sequential

        if isinstance(self.model, Sequential):
            return list(self.model.layers)
        weighted = [layer for layer in self.model.layers if layer.weights]
        if len(weighted) == 1 and isinstance(weighted[0], Sequential):
            return [*weighted[0].layers, self.model.layers[-1]]
        return []

    def calibrate(self, temperature: float) -> None:
        """Divide the logits by `temperature`: divide the last dense layer's weights, and add no layer.

        Raises:
            PipelineError: The model does not end in a dense layer and a softmax.
        """
        dense = self._output_layer()
        dense.set_weights([weights / temperature for weights in dense.get_weights()])
        self._served = ServedModel(self.model)

    def _output_layer(self) -> "Dense":
        from keras import activations, layers

        chain = self.chain or self.model.layers
        last = next((layer for layer in reversed(chain) if layer.weights), None)
        if isinstance(last, layers.Dense):
            allowed = (activations.softmax,) if last is chain[-1] else (activations.linear,)
            if last.activation in allowed:
                return last
        raise PipelineError(
            f"{self.path} must end in a dense layer and a softmax for calibration but its last layer with weights is "
            f"{type(last).__name__ if last else 'none'}: change the end of the model."
        )


def model_file(directory: Path) -> Path:
    """Return the path of the one `.keras` file in `directory`, or else below it.

    Raises:
        PipelineError: There is none, or there are several.
    """
    files = sorted(directory.glob("*.keras")) or sorted(directory.rglob("*.keras"))
    if len(files) != 1:
        found = ", ".join(str(file.relative_to(directory)) for file in files) or "none"
        raise PipelineError(
            f"{directory} must hold exactly one .keras file but holds {found}: give the directory of one model."
        )
    return files[0]


def _load(path: Path) -> "Model":
    from keras.saving import load_model

    try:
        return load_model(path, compile=False)
    # Damaged zip, HDF5 and JSON content and unknown layers raise errors without a common base class.
    except Exception as error:
        reason = first_line(error).removesuffix(".")
        raise PipelineError(
            f"{path} must be a readable Keras model but is not ({reason}): restore it or train it again."
        ) from error


def _refused(path: Path, error: Exception) -> PipelineError:
    reason = first_line(error).removesuffix(".")
    return PipelineError(
        f"{path} must take these images but does not ({reason}): choose a model for such images."
    )


def _check(probabilities: NDArray[Any], shape: tuple[int, int], path: Path) -> None:
    if probabilities.shape != shape:
        raise PipelineError(
            f"{path} must return a probability for each class but returns an array of shape "
            f"{probabilities.shape} for {shape[0]} images: choose a classifier."
        )
    if not np.isfinite(probabilities).all():
        raise PipelineError(
            f"{path} must return finite probabilities but returns NaN or infinity: "
            "train it again with a lower learning rate."
        )
    off = np.abs(probabilities.sum(axis=1) - 1).max(initial=0)
    if off > 1e-2 or probabilities.min(initial=0) < 0:
        raise PipelineError(
            f"{path} must return probabilities but its outputs are none: end the model in a softmax."
        )
