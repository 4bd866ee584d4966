"""Prepared data: a directory of `.npy` arrays, described by its dataset.json."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from components.common.data.info import DatasetInfo, SplitOptions
from components.common.data.source import SourceInfo
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError, first_line
from components.common.storage.files import (
    combined_digest,
    require_digests,
    sha256_file,
    written_directory,
)

# Images that are written at a time.
CHUNK_BYTES = 8 * 2**20


class SplitSource(Protocol):
    """A split that can be written: its labels, and its images chunk by chunk."""

    @property
    def labels(self) -> NDArray[Any]:
        """Places in `spec.classes`, N."""

    @property
    def spec(self) -> ImageSpec:
        """Description of the images."""

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """Yield all images in order, N x height x width x channels."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Attributes:
        images: uint8, N x height x width x channels; may be memory-mapped.
        labels: Places in `spec.classes`, N, of `spec.label_type`.
        spec: Description of the images.
    """

    images: NDArray[np.uint8]
    labels: NDArray[Any]
    spec: ImageSpec

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """Yield all images in order, some MiB at a time."""
        rows = max(1, CHUNK_BYTES // self.spec.pixels)
        for start in range(0, len(self.labels), rows):
            yield self.images[start : start + rows]


def checked_split(
    images: NDArray[Any], labels: NDArray[Any], spec: ImageSpec, names: tuple[str, str]
) -> Split:
    """Return the arrays as a `Split` if they are one.

    Args:
        images: What should be uint8, N x height x width x channels as `spec` says, N at least 1.
        labels: What should be N integers, places in `spec.classes`, of any integer type.
        spec: Description of the images.
        names: What to call the two arrays in an error, such as their paths.

    Raises:
        PipelineError: They break one of these rules.
    """
    images_name, labels_name = names
    if images.dtype != np.uint8 or images.shape[1:] != spec.shape:
        raise PipelineError(
            f"{images_name}: images must be N x {spec.size} of type uint8 but are {described(images)}."
        )
    if len(images) == 0:
        raise PipelineError(f"{images_name}: there must be at least one image but there are 0.")
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise PipelineError(f"{labels_name}: labels must be N integers but are {described(labels)}.")
    if len(labels) != len(images):
        raise PipelineError(
            f"{labels_name}: each image must have a label but there are "
            f"{len(images)} images in {images_name} and {len(labels)} labels."
        )
    last = len(spec.classes) - 1
    outside = np.flatnonzero((labels < 0) | (labels > last))
    if outside.size:
        first = outside[0]
        raise PipelineError(
            f"{labels_name}: labels must be 0 to {last} but number {first} is {labels[first]}."
        )
    return Split(images, labels.astype(spec.label_type, copy=False), spec)


def class_counts(labels: NDArray[Any], spec: ImageSpec) -> tuple[int, ...]:
    """Return the number of labels of each class."""
    return tuple(np.bincount(labels, minlength=len(spec.classes)).tolist())


def described(array: NDArray[Any]) -> str:
    """Return shape and type of an array as text, for errors."""
    return f"{' x '.join(str(size) for size in array.shape) or 'a single value'} of type {array.dtype}"


def write_splits(
    directory: Path,
    splits: Mapping[str, SplitSource],
    *,
    raw: SourceInfo,
    split: SplitOptions,
    test_digest: str | None = None,
) -> DatasetInfo:
    """Write the splits and their dataset.json as `directory`, which must be new or empty.

    The images of grey data are written as N x height x width.

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
            _write_images(partial / images_file, part)
            np.save(partial / labels_file, part.labels, allow_pickle=False)
        files = {path.name: sha256_file(path) for path in sorted(partial.iterdir())}
        digest = combined_digest(files)
        info = DatasetInfo(
            raw=raw,
            split=split,
            files=files,
            counts={split_name: len(part.labels) for split_name, part in splits.items()},
            class_counts={
                split_name: class_counts(part.labels, part.spec) for split_name, part in splits.items()
            },
            digest=digest,
            test_digest=test_digest or digest,
        )
        info.save(partial)
    return info


def _write_images(path: Path, split: SplitSource) -> None:
    """Write an npy file as `numpy.save` does, chunk by chunk."""
    shape = split.spec.shape[:2] if split.spec.channels == 1 else split.spec.shape
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(split.labels), *shape)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for images in split.chunks():
            file.write(np.ascontiguousarray(images).data)


def open_split(directory: Path, name: str) -> Split:
    """Open one split by mmap, after its files' digests were checked, for which they are read once in a process.

    Raises:
        PipelineError: The directory lacks the split, or a file is not what dataset.json says.
    """
    info = DatasetInfo.load(directory)
    counts = info.counts
    if name not in counts:
        raise PipelineError(f"{directory} must hold the split {name!r} but holds only {', '.join(counts)}.")
    files = {file: info.files.get(file, "none") for file in _array_files(name)}
    require_digests(directory, files, info.FILE)
    images_path, labels_path = (directory / file for file in files)
    images = _mapped(images_path)
    if info.spec.channels == 1 and images.ndim == 3:
        images = images[..., None]
    split = checked_split(images, _mapped(labels_path), info.spec, (str(images_path), str(labels_path)))
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
