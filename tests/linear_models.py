"""Candidates for tests: small linear models of any size of image and number of classes, with their records."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from components.common.data.dataset import Split
from components.common.data.spec import ImageSpec
from components.common.model.exchange import EXCHANGE, ONNX_FILE, Exchange, float32_copy, write_onnx
from components.common.model.samples import save_samples
from components.common.model.training_record import MODEL_FILE
from tests.records import dataset_info, training_record

BINARY = ImageSpec(28, 36, 1, ("benign", "malignant"))


def blobs(spec: ImageSpec) -> Split:
    """One image a class, each bright in one band of rows and, where it has colour, in one channel."""
    count = len(spec.classes)
    images = np.zeros((count, *spec.shape), np.uint8)
    for label in range(count):
        rows = slice(label * spec.height // count, (label + 1) * spec.height // count)
        images[label, rows, :, label % spec.channels] = 255
    return Split(images, np.arange(count).astype(spec.label_type), spec)


def save_candidate(directory: Path, spec: ImageSpec, *, bare: bool = False, steepness: float = 5) -> Split:
    """Write a model that knows the blobs, as the evaluation leaves a candidate, into an existing directory.

    Args:
        directory: Where to write it.
        spec: Description of the images.
        bare: Whether the model takes images without the axis of the channel, as the models of version 0.1.0 do.
        steepness: The logit of a blob's class.

    Returns:
        The blobs, each with its class.
    """
    made, split = _made_candidate(spec, bare, steepness)
    shutil.copytree(made.name, directory, dirs_exist_ok=True)
    return split


@cache
def _made_candidate(spec: ImageSpec, bare: bool, steepness: float) -> "tuple[TemporaryDirectory[str], Split]":
    """Make a candidate once a process: Keras and the conversion to ONNX take about a second."""
    import keras

    split, kept = blobs(spec), TemporaryDirectory()
    directory = Path(kept.name)
    # A training in this process may have set another.
    keras.config.set_dtype_policy("float32")
    dense = keras.layers.Dense(len(spec.classes), activation="softmax")
    inputs = keras.Input(spec.shape[:2] if bare else spec.shape, dtype="uint8", name="image")
    model = keras.Sequential([inputs, keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), dense])
    kernel = split.images.reshape(len(split.labels), -1).T / 255
    dense.set_weights([steepness * kernel / np.maximum(kernel.sum(axis=0), 1), np.zeros(len(spec.classes))])
    model.save(directory / MODEL_FILE)
    training_record(dataset=dataset_info(spec=spec)).save(directory)
    save_samples(directory, split)
    (directory / EXCHANGE).mkdir()
    write_onnx(float32_copy(model), directory / ONNX_FILE)
    Exchange(problem="", images=len(split.images)).save(directory / EXCHANGE)
    return kept, split
