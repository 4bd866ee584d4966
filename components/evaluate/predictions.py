"""Class probabilities of a model directory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.inference import Classifier, model_file

__all__ = ["model_file", "predict"]


def predict(directory: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Predict with the model in `directory`; as `Classifier.probabilities`."""
    return Classifier.load(directory).probabilities(images)
