"""Accuracy on corrupted images: shifted, rotated, noisy, blurred or faded, at rising severity."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.data.spec import MNIST_SPEC, ImageSpec

EXAMPLES = 1000
# Values of the images that are corrupted, which bounds the memory that large images need.
VALUES = 2**24
SEED = 0

# uint8, N x height x width x channels.
Images = NDArray[np.uint8]
# Unit, severity that changes nothing, rising severities, function.
Corruption = tuple[str, float, tuple[float, ...], Callable[[Images, float], Images]]


@dataclass(frozen=True)
class RobustnessCurve:
    """One corruption: its severities in `unit`, the first of which changes nothing, and the accuracy at each."""

    corruption: str
    unit: str
    severities: list[float]
    accuracies: list[float]


def measure_robustness(
    predict: Callable[[Images], NDArray[np.float32]], split: Split
) -> list[RobustnessCurve]:
    """Measure a model on at most 1,000 images, fewer of large ones, spread evenly over the split."""
    examples = max(1, min(EXAMPLES, VALUES // split.spec.pixels))
    rows = np.unique(np.linspace(0, len(split.labels) - 1, examples).round().astype(int))
    images, labels = split.images[rows], split.labels[rows]

    def accuracy(corrupted: Images) -> float:
        return float((predict(corrupted).argmax(axis=1) == labels).mean())

    clean = accuracy(images)
    return [
        RobustnessCurve(
            name, unit, [none, *severities], [clean, *(accuracy(corrupt(images, by)) for by in severities)]
        )
        for name, (unit, none, severities, corrupt) in corruptions(split.spec).items()
    ]


def mean_robustness(curves: list[RobustnessCurve]) -> float:
    """Return the mean accuracy over all corruptions and severities, without the clean images."""
    return float(np.mean([accuracy for curve in curves for accuracy in curve.accuracies[1:]]))


def shift(images: Images, pixels: float) -> Images:
    """Move by whole pixels, in turn to the right, down, left and up; what leaves the image is lost."""
    by, shifted = int(pixels), np.zeros_like(images)
    shifted[0::4, :, by:] = images[0::4, :, :-by]
    shifted[1::4, by:] = images[1::4, :-by]
    shifted[2::4, :, :-by] = images[2::4, :, by:]
    shifted[3::4, :-by] = images[3::4, by:]
    return shifted


def rotate(images: Images, degrees: float) -> Images:
    """Rotate about the centre, in turn left and right, with bilinear interpolation."""
    from scipy.ndimage import rotate as rotated

    turned = np.empty_like(images)
    for start, angle in ((0, degrees), (1, -degrees)):
        if len(images[start::2]):
            turned[start::2] = rotated(images[start::2], angle, axes=(1, 2), reshape=False, order=1)
    return turned


def add_noise(images: Images, sigma: float) -> Images:
    """Add Gaussian noise, the same on every call."""
    noise = np.random.default_rng(SEED).standard_normal(images.shape, np.float32)
    return np.clip(images + noise * sigma, 0, 255).astype(np.uint8)


def blur(images: Images, sigma: float) -> Images:
    """Blur each channel with a Gaussian of `sigma` pixels."""
    from scipy.ndimage import gaussian_filter

    blurred: Images = gaussian_filter(images, (0, sigma, sigma, 0))
    return blurred


def fade(images: Images, contrast: float) -> Images:
    """Multiply all pixels by `contrast`, 0 to 1."""
    return (images * contrast).astype(np.uint8)


def corruptions(spec: ImageSpec) -> dict[str, Corruption]:
    """Return the corruptions by name; distances, set for MNIST, grow with the images' shorter side."""
    scale = min(spec.height, spec.width) / MNIST_SPEC.height
    # Of tiny images several distances are the same number of whole pixels.
    shifts = sorted({max(1, round(pixels * scale)) for pixels in (1, 2, 4, 6)})
    return {
        "shift": ("pixels", 0, tuple(shifts), shift),
        "rotation": ("degrees", 0, (10, 20, 30, 45), rotate),
        "noise": ("grey levels" if spec.channels == 1 else "levels of 255", 0, (25, 50, 75, 100), add_noise),
        "blur": ("pixels", 0, tuple(round(pixels * scale, 2) for pixels in (0.5, 1, 1.5, 2)), blur),
        "contrast": ("of the original", 1, (0.7, 0.4, 0.2, 0.1), fade),
    }
