"""Sample images beside a candidate: one of each class, whose answers are kept with the registered model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split

SAMPLES = "samples.npz"
MOST_SAMPLES = 20


def save_samples(directory: Path, split: Split) -> None:
    """Write the first image of each class that the split has, of `MOST_SAMPLES` classes, into an existing directory."""
    _, first = np.unique(split.labels, return_index=True)
    chosen = first[:MOST_SAMPLES]
    np.savez(directory / SAMPLES, images=split.images[chosen], labels=split.labels[chosen])


def load_samples(directory: Path) -> NDArray[np.uint8] | None:
    """Return the images, uint8 N x height x width x channels; None where the directory has none."""
    if not (directory / SAMPLES).exists():
        return None
    with np.load(directory / SAMPLES, allow_pickle=False) as samples:
        images: NDArray[np.uint8] = samples["images"]
    return images
