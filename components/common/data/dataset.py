"""Prepared data: a directory of `.npy` arrays, described by its dataset.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from components.common.data.source import SourceInfo
from components.common.errors import PipelineError, first_line
from components.common.record import Record
from components.common.storage.files import combined_digest, sha256_file, written_directory

CLASSES = 10
IMAGE_SHAPE = (28, 28)


@dataclass(frozen=True, eq=False)
class Split:
    """Images (uint8, N x 28 x 28, 0 is background) and their labels (uint8, N, 0 to 9)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class SplitOptions:
    """How the training part was split into training and validation."""

    seed: int
    stratify: bool
    fraction: float


class DatasetInfo(Record):
    """Description of a directory of prepared data, with that of the raw data that it was made of.

    Attributes:
        files: SHA-256 of each array file by name; `digest` covers them all.
        counts: Number of images by split.
        class_counts: Number of images of each class, 0 to 9, by split.
        test_digest: Digest of the test split that was prepared beside this data.
    """

    FILE: ClassVar[str] = "dataset.json"

    raw: SourceInfo
    split: SplitOptions
    files: dict[str, str]
    counts: dict[str, int]
    class_counts: dict[str, tuple[int, ...]]
    digest: str
    test_digest: str
    format_version: Literal[2] = 2

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.raw.name


def checked_split(images: NDArray[Any], labels: NDArray[Any], names: tuple[str, str]) -> Split:
    """Return the arrays as a `Split` if they are one.

    Args:
        images: What should be uint8, N x 28 x 28, N at least 1.
        labels: What should be N integers from 0 to 9, of any integer type.
        names: What to call the two arrays in an error, such as their paths.

    Raises:
        PipelineError: They break one of these rules.
    """
    images_name, labels_name = names
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE_SHAPE:
        raise PipelineError(
            f"{images_name}: images must be N x 28 x 28 of type uint8 but are {_described(images)}."
        )
    if len(images) == 0:
        raise PipelineError(f"{images_name}: there must be at least one image but there are 0.")
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise PipelineError(f"{labels_name}: labels must be N integers but are {_described(labels)}.")
    if len(labels) != len(images):
        raise PipelineError(
            f"{labels_name}: each image must have a label but there are "
            f"{len(images)} images in {images_name} and {len(labels)} labels."
        )
    outside = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if outside.size:
        first = outside[0]
        raise PipelineError(f"{labels_name}: labels must be 0 to 9 but number {first} is {labels[first]}.")
    return Split(images, labels.astype(np.uint8, copy=False))


def class_counts(labels: NDArray[np.uint8]) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=CLASSES).tolist())


def write_splits(
    directory: Path,
    splits: Mapping[str, Split],
    *,
    raw: SourceInfo,
    split: SplitOptions,
    test_digest: str | None = None,
) -> DatasetInfo:
    """Write the splits and their dataset.json as `directory`, which must be new or empty.

    Args:
        directory: Directory to make.
        splits: Images and labels by the split's name.
        raw: Description of the raw data.
        split: How it was split.
        test_digest: Digest of the test split, which lies in a directory of its own; None for that directory itself.
    """
    with written_directory(directory) as partial:
        for split_name, part in splits.items():
            images_file, labels_file = _array_files(split_name)
            np.save(partial / images_file, part.images, allow_pickle=False)
            np.save(partial / labels_file, part.labels, allow_pickle=False)
        files = {path.name: sha256_file(path) for path in sorted(partial.iterdir())}
        digest = combined_digest(files)
        info = DatasetInfo(
            raw=raw,
            split=split,
            files=files,
            counts={split_name: len(part.labels) for split_name, part in splits.items()},
            class_counts={split_name: class_counts(part.labels) for split_name, part in splits.items()},
            digest=digest,
            test_digest=test_digest or digest,
        )
        info.save(partial)
    return info


def open_split(directory: Path, name: str) -> Split:
    """Open one split by mmap, so that only what is used of it is read.

    Raises:
        PipelineError: The directory lacks the split, or an array is not what dataset.json says.
    """
    counts = DatasetInfo.load(directory).counts
    if name not in counts:
        raise PipelineError(f"{directory} must hold the split {name!r} but holds only {', '.join(counts)}.")
    images_path, labels_path = (directory / file for file in _array_files(name))
    split = checked_split(_mapped(images_path), _mapped(labels_path), (str(images_path), str(labels_path)))
    if len(split.labels) != counts[name]:
        raise PipelineError(
            f"{images_path}: dataset.json announces {counts[name]} images but there are {len(split.labels)}."
        )
    return split


def _array_files(split_name: str) -> tuple[str, str]:
    return f"{split_name}_images.npy", f"{split_name}_labels.npy"


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, TokenError, ValueError) as error:
        raise PipelineError(
            f"{path} must be an npy array but cannot be opened ({first_line(error)}): "
            "run the step that writes it again."
        ) from error


def _described(array: NDArray[Any]) -> str:
    return f"{' x '.join(str(size) for size in array.shape) or 'a single value'} of type {array.dtype}"
