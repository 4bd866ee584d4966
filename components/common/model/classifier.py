"""Class probabilities from a trained or a registered model."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError, first_line
from components.common.model.keras_file import load_keras_file
from components.common.model.lineage import stored_judgement
from components.common.model.served_model import ServedModel
from components.common.model.training_record import Training

if TYPE_CHECKING:
    from keras import Model
    from keras.layers import Dense, Layer


class Classifier:
    """A loaded model, for any number of images.

    >>> classifier = Classifier(directory)
    >>> probabilities = classifier.probabilities(images)

    Attributes:
        spec: Description of the images: sizes as the model has them, names as its record has them. Without a record,
            the classes are called "0", "1", ...

    Args:
        directory: A trained model, or a registered one as MLflow stores it.

    Raises:
        PipelineError: The directory does not hold exactly one Keras model, its layers are not known, it does not
            load, it is no classifier of images, or its record describes another model.
    """

    def __init__(self, directory: Path) -> None:
        self.path = model_file(directory)
        self.model = load_keras_file(self.path)
        self.spec = _described(self.path, self.model, _recorded_spec(directory, self.path))
        try:
            self._served = ServedModel(self.model)
        except (ValueError, TypeError) as error:
            raise self._refused(error) from error

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the class probabilities of images.

        Args:
            images: As `inputs` takes them.

        Returns:
            Probabilities, float32, N x classes; each row sums to 1.

        Raises:
            PipelineError: The model does not take such images, or does not return probabilities.
        """
        try:
            probabilities = self._served.predict(self.inputs(images))
        except (ValueError, TypeError) as error:
            raise self._refused(error) from error
        check_probabilities(probabilities, (len(images), len(self.spec.classes)), self.path)
        return probabilities

    def inputs(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return images in the shape that the model takes; those of another size are returned as they are.

        Args:
            images: uint8, N x height x width x channels; grey ones may lack the last axis. They may be memory-mapped,
                as one batch is read at a time.
        """
        if not are_images(images, self.spec):
            return images
        return images.reshape(len(images), *self.model.inputs[0].shape[1:])

    def _refused(self, error: Exception) -> PipelineError:
        reason = first_line(error).removesuffix(".")
        return PipelineError(
            f"{self.path} must take uint8 images N x {self.spec.size} but does not ({reason}): choose a model for "
            "such images."
        )

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


def _recorded_spec(directory: Path, path: Path) -> ImageSpec | None:
    """Return the description of the images that the records of a trained or a registered model hold."""
    if (path.parent / Training.FILE).exists():
        return Training.load(path.parent).dataset.spec
    judgement = stored_judgement(directory)
    return judgement.training.dataset.spec if judgement else None


def _described(path: Path, model: "Model", recorded: ImageSpec | None) -> ImageSpec:
    """Describe the images of a model; one that was registered before images had channels takes N x height x width."""
    taken, returned = tuple(model.inputs[0].shape[1:]), tuple(model.outputs[0].shape[1:])
    if len(taken) not in {2, 3} or len(returned) != 1 or None in {*taken, *returned}:
        raise PipelineError(
            f"{path} must take images, N x height x width x channels, and return N x classes but takes N x {taken} and "
            f"returns N x {returned}: choose a classifier of images of one size."
        )
    height, width, channels = taken if len(taken) == 3 else (*taken, 1)
    spec = ImageSpec(height, width, channels, tuple(map(str, range(returned[0]))))
    if recorded is None:
        return replace(spec, pictures="digit") if spec == replace(MNIST_SPEC, pictures="any") else spec
    if (recorded.shape, len(recorded.classes)) != (spec.shape, len(spec.classes)):
        raise PipelineError(
            f"{path} must be the model of its record, of images {recorded.size} in {len(recorded.classes)} classes, "
            f"but takes images {spec.size} in {len(spec.classes)} classes: restore it or train it again."
        )
    return recorded


def are_images(images: NDArray[Any], spec: ImageSpec) -> bool:
    """Return whether an array has the shape of images; grey ones may lack the last axis."""
    taken = (spec.shape, spec.shape[:2]) if spec.channels == 1 else (spec.shape,)
    return images.shape[1:] in taken


def check_probabilities(probabilities: NDArray[Any], shape: tuple[int, int], path: Path) -> None:
    """Check that the answers of the model in `path` are probabilities of so many images in so many classes.

    Raises:
        PipelineError: They are not.
    """
    examples, classes = shape
    if probabilities.shape != shape:
        raise PipelineError(
            f"{path} must return {classes} probabilities per image but returns an array of shape "
            f"{probabilities.shape} for {examples} images: choose a classifier with {classes} classes."
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
