"""Reference of a registered version: what images and answers were like on its validation split."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_REFERENCE, require_within
from components.common.data.dataset import Split
from components.common.errors import PipelineError, first_line
from components.common.figures import shrunk

# At the top of a candidate's and of a version's files.
REFERENCE_FILE = "reference.npz"
MOST_EXAMPLES = 4000
# Values of the images that are in memory at a time.
CHUNK_VALUES = 2**24
# Values of an image's sketch, of which the usual shapes are found.
SKETCH_VALUES = 1024
MOST_AXES = 32
# Fewer examples than this for each axis would make axes of single images.
EXAMPLES_PER_AXIS = 8
# Share of the reference's own images that count as unlike it.
UNLIKE = 0.01
# In place of a spread of 0, where all images are alike in something.
LEAST = 1e-6
# Runtimes differ in the last digits of a confidence; a difference below a thousandth has no consequence.
DECIMALS = 3
PICTURES = 12

# uint8, N x height x width x channels.
Images = NDArray[np.uint8]
Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Shapes:
    """The usual shapes of some images: principal axes of their sketches, which are images of few pixels.

    Attributes:
        mean: Of the sketches, P values.
        axes: Orthonormal, K x P.
        variances: Along the axes, K.
        residual: Mean square distance of a sketch from the axes.
    """

    mean: Values
    axes: Values
    variances: Values
    residual: float

    @classmethod
    def of(cls, drawn: Values) -> Self:
        """Find the axes of N x P sketches."""
        mean = drawn.mean(axis=0)
        centred = drawn - mean
        found, vectors = np.linalg.eigh(centred.T @ centred / len(drawn))
        kept = max(1, min(MOST_AXES, len(drawn) // EXAMPLES_PER_AXIS, len(found) - 1))
        axes, variances = vectors[:, ::-1][:, :kept].T, np.maximum(found[::-1][:kept], LEAST)
        return cls(mean, axes, variances, float(max(found[:-kept].sum(), LEAST)))

    def distances(self, drawn: Values) -> Values:
        """Return how far N x P sketches are from the usual shapes: about 2 where they are like those of the axes."""
        centred = drawn - self.mean
        along = centred @ self.axes.T
        off = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        found: Values = (along**2 / self.variances).mean(axis=1) + off / self.residual
        return found


@dataclass(frozen=True, eq=False)
class Reference:
    """Images and answers of a version's validation split, in few numbers.

    Attributes:
        values: What `values_of` measures of at most `MOST_EXAMPLES` images, spread evenly over the split; N each.
        confidence: Top probability of each answer, N.
        answered: Number of images that each class is the answer to.
        rejected: Number of answers below the threshold for rejected ones.
        right: Number of right answers.
        shapes: The usual shapes of the training images.
        shape: Height, width and channels of an image.
        pictures: Some of the images, small, uint8 M x height x width x channels.
    """

    values: dict[str, Values]
    confidence: Values
    answered: NDArray[np.int64]
    rejected: int
    right: int
    shapes: Shapes
    shape: tuple[int, ...]
    pictures: Images

    @property
    def examples(self) -> int:
        """Number of images."""
        return len(self.confidence)

    def values_of(self, images: Images) -> dict[str, Values]:
        """Measure each of N images as `image_values` does, with the distance from the usual shapes as "shape"."""
        parts = [_values(part, self.shapes) for part in _chunks(images, np.arange(len(images)))]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.values}

    def unlikeness(self, values: dict[str, Values]) -> Values:
        """Return how unlike the reference each of N images is, N.

        It is the largest distance of any value from the reference's median, where 1 is the distance of the reference's
        1% and 99% quantile.
        """
        distances: list[Values] = []
        for name, column in self.values.items():
            low, median, high = np.quantile(column, (0.01, 0.5, 0.99))
            away = values[name] - median
            side = np.where(away < 0, median - low, high - median)
            distances.append(np.abs(away) / np.maximum(side, LEAST))
        largest: Values = np.max(distances, axis=0)
        return largest

    def unlikeness_limit(self) -> float:
        """Return the unlikeness that `UNLIKE` of the reference's own images exceed."""
        return float(np.quantile(self.unlikeness(self.values), 1 - UNLIKE, method="lower"))

    def save(self, directory: Path) -> None:
        """Write the file into an existing directory."""
        arrays: dict[str, Any] = {
            "confidence": self.confidence,
            "answered": self.answered,
            "counts": np.array([self.rejected, self.right], np.int64),
            "shape": np.array(self.shape, np.int64),
            "pictures": self.pictures,
        }
        arrays |= {f"values.{name}": column for name, column in self.values.items()}
        arrays |= {f"shapes.{name}": np.float32(value) for name, value in vars(self.shapes).items()}
        np.savez_compressed(directory / REFERENCE_FILE, **arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the file of a version.

        Raises:
            PipelineError: There is none, or it is damaged.
        """
        path = directory / REFERENCE_FILE
        if not path.is_file():
            raise PipelineError(
                f"the version must have a {REFERENCE_FILE} but was registered without one: register a new version."
            )
        require_within(path.stat().st_size, LARGEST_REFERENCE, f"bytes of {path}", "fetch the version again")
        try:
            return cls._read(path)
        # numpy's and zipfile's errors have no common base class.
        except Exception as error:
            raise PipelineError(
                f"{path} must be a version's reference but cannot be read ({first_line(error)}): fetch it again."
            ) from error

    @classmethod
    def _read(cls, path: Path) -> Self:
        with np.load(path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}

        def below(prefix: str) -> dict[str, Any]:
            return {
                name.removeprefix(prefix): part for name, part in found.items() if name.startswith(prefix)
            }

        shapes = below("shapes.")
        rejected, right = map(int, found["counts"])
        return cls(
            values=below("values."),
            confidence=found["confidence"],
            answered=found["answered"],
            rejected=rejected,
            right=right,
            shapes=Shapes(**{**shapes, "residual": float(shapes["residual"])}),
            shape=tuple(map(int, found["shape"])),
            pictures=found["pictures"],
        )


def make_reference(
    training: Images,
    validation: Split,
    answers: Callable[[Images], NDArray[np.float32]],
    reject_below: float,
) -> Reference:
    """Describe the images of a validation split and the model's answers to them.

    Args:
        training: uint8, N x height x width x channels; the usual shapes are found on `MOST_EXAMPLES` of them.
        validation: The split.
        answers: Gives the class probabilities, float32 N x classes.
        reject_below: Top probability below which an answer is rejected.
    """
    shapes = Shapes.of(
        np.concatenate([sketches(part) for part in _chunks(training, _spread(len(training), MOST_EXAMPLES))])
    )
    rows = _spread(len(validation.images), MOST_EXAMPLES)
    chunks = list(map(np.array, _chunks(validation.images, rows)))
    measured = [_values(part, shapes) for part in chunks]
    probabilities = np.concatenate([answers(part) for part in chunks])
    answer, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    return Reference(
        values={name: np.concatenate([part[name] for part in measured]) for name in measured[0]},
        confidence=confidences(probabilities),
        answered=np.bincount(answer, minlength=probabilities.shape[1]),
        rejected=int((confidence < reject_below).sum()),
        right=int((answer == validation.labels[rows]).sum()),
        shapes=shapes,
        shape=validation.spec.shape,
        pictures=np.stack(
            [shrunk(validation.images[row]) for row in rows[_spread(len(rows), PICTURES)]]
        ).astype(np.uint8),
    )


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """Return at most `most` rows of `count`, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.intp))


def _chunks(images: Images, rows: NDArray[np.intp]) -> Iterator[Images]:
    size = max(1, CHUNK_VALUES // math.prod(images.shape[1:]))
    for start in range(0, len(rows), size):
        yield images[rows[start : start + size]]


def _values(images: Images, shapes: Shapes) -> dict[str, Values]:
    return image_values(images) | {"shape": shapes.distances(sketches(images))}


def confidences(probabilities: NDArray[np.float32]) -> Values:
    """Return the top probability of each answer, to `DECIMALS`."""
    rounded: Values = probabilities.max(axis=1).round(DECIMALS)
    return rounded


def sketches(images: Images) -> Values:
    """Return images with at most `SKETCH_VALUES` values each, 0 to 1, N x P: means of square blocks."""
    count, height, width, channels = images.shape
    step = 1
    while (height // step) * (width // step) * channels > SKETCH_VALUES and step < min(height, width):
        step += 1
    rows, columns = height // step, width // step
    blocks = images[:, : rows * step, : columns * step].reshape(count, rows, step, columns, step, channels)
    means: Values = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1) / 255
    return means


def image_values(images: Images) -> dict[str, Values]:
    """Measure each of N images, uint8 N x height x width x channels.

    Returns:
        By name, N values each: mean and standard deviation of the brightness (0 to 1), its mean absolute step from
        pixel to pixel in relation to that deviation, the centre of the brightness from the left and from the top (0 to
        1), and for colour images the mean difference of the largest and the smallest channel.
    """
    grey = images.mean(axis=3, dtype=np.float32) / 255
    _, height, width = grey.shape
    mean, deviation = grey.mean(axis=(1, 2)), grey.std(axis=(1, 2))
    steps = np.abs(np.diff(grey, axis=1)).mean(axis=(1, 2)) + np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2))
    total = np.maximum(grey.sum(axis=(1, 2)), LEAST)
    values = {
        "brightness": mean,
        "contrast": deviation,
        "sharpness": steps / np.maximum(deviation, LEAST),
        "horizontal": grey.sum(axis=1) @ _places(width) / total,
        "vertical": grey.sum(axis=2) @ _places(height) / total,
    }
    if images.shape[3] > 1:
        values["colour"] = (images.max(axis=3) - images.min(axis=3)).mean(axis=(1, 2), dtype=np.float32) / 255
    return values


def _places(count: int) -> Values:
    """Return the centres of the pixels of a row, 0 to 1."""
    centres: Values = ((np.arange(count) + 0.5) / count).astype(np.float32)
    return centres
