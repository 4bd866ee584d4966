"""Class probabilities of a Keras model, in batches."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.common.dataset import CLASSES
from components.common.errors import PipelineError

if TYPE_CHECKING:
    from keras import Model

BATCH_SIZE = 1024


def predict(directory: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Predict with the model in `directory`.

    Args:
        directory: A trained model, or a registered one as MLflow stores it.
        images: uint8, N x 28 x 28; may be memory mapped, a batch at a time is read.

    Returns:
        Probabilities, float32, N x 10.

    Raises:
        PipelineError: The model is missing, does not load, or does not give ten probabilities an image.
    """
    path = model_file(directory)
    model = _load(path)
    try:
        batches = [
            model.predict_on_batch(images[start : start + BATCH_SIZE])
            for start in range(0, len(images), BATCH_SIZE)
        ]
    except (ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise PipelineError(f"{path} must take uint8 images N x 28 x 28 but does not: {reason}") from error
    probabilities = np.concatenate(batches).astype(np.float32)
    _check(probabilities, len(images), path)
    return probabilities


def model_file(directory: Path) -> Path:
    """Return the one `.keras` file at or below `directory`; MLflow keeps it some levels down."""
    files = sorted(directory.rglob("*.keras"))
    if len(files) != 1:
        found = ", ".join(str(file.relative_to(directory)) for file in files) or "none"
        raise PipelineError(f"{directory} must hold exactly one .keras file but holds {found}.")
    return files[0]


def _load(path: Path) -> "Model":
    from keras.saving import load_model

    try:
        return load_model(path, compile=False)
    except (
        Exception
    ) as error:  # damaged zip, HDF5 and JSON, and unknown layers, each raise a type of their own
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise PipelineError(f"{path} must be a readable Keras model but is not: {reason}") from error


def _check(probabilities: NDArray[np.float32], examples: int, path: Path) -> None:
    if probabilities.shape != (examples, CLASSES):
        raise PipelineError(
            f"{path} must answer with {CLASSES} probabilities an image but answers {examples} images with an "
            f"array of shape {probabilities.shape}."
        )
    if not np.isfinite(probabilities).all():
        raise PipelineError(
            f"{path} must answer with finite probabilities but gives NaN or infinity: its training diverged, "
            "train it again with a lower learning rate."
        )
    if np.abs(probabilities.sum(axis=1) - 1).max() > 1e-2 or probabilities.min() < 0:
        raise PipelineError(f"{path} must end in a softmax but its outputs are no probabilities.")
