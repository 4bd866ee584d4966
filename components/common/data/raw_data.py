"""Raw data: a directory of idx files, two for each part, beside its source.json."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split, checked_split
from components.common.data.idx import IdxFile, idx_header
from components.common.data.source import SourceInfo
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from components.common.storage.files import require_digests

# Beginning of the names of a part's files, as MNIST names them; a data set may be without a validation part.
PARTS = {"train": "train", "validation": "validation", "test": "t10k"}
# Images that are read or written at a time.
CHUNK_BYTES = 8 * 2**20
# A part up to this size is read as a whole where many single rows are wanted: that is faster.
WHOLE_BYTES = 64 * 2**20
# Share of the rows from which on that is done.
MANY = 8


def raw_files(part: str, spec: ImageSpec) -> tuple[str, str]:
    """Return the names of the files that hold a part's images and labels; those of MNIST's kind are MNIST's."""
    images = "idx3-ubyte" if spec.channels == 1 else "idx4-ubyte"
    labels = "idx1-ubyte" if spec.label_type == "uint8" else "idx1-int"
    return f"{PARTS[part]}-images-{images}", f"{PARTS[part]}-labels-{labels}"


class PixelWriter:
    """An idx file of images that is written chunk by chunk, and has its header right when it is closed.

    Args:
        path: File to write.
        shape: Height, width and channels of the images; grey images are written without the last.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self._file = path.open("wb")
        self._shape = shape[:2] if shape[2] == 1 else shape
        self.count = self.size = 0
        self._write_header()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, images: NDArray[np.uint8]) -> None:
        """Append images, N x height x width x channels."""
        self._file.write(np.ascontiguousarray(images).data)
        self.count += len(images)
        self.size += images.nbytes

    def close(self) -> None:
        """End the file."""
        with self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        self._file.write(idx_header(np.dtype(np.uint8), (self.count, *self._shape)))


class PixelFile:
    """The images of a part, read chunk by chunk or row by row, so that only these are in memory.

    Args:
        directory: Directory of raw data.
        part: "train", "validation" or "test".
        spec: Description of the images.
    """

    def __init__(self, directory: Path, part: str, spec: ImageSpec) -> None:
        path = directory / raw_files(part, spec)[0]
        self._file, self._spec = IdxFile(path, str(path)), spec
        self._whole: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self._file)

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """Yield all images in order, N x height x width x channels."""
        rows = max(1, CHUNK_BYTES // self._spec.pixels)
        for images in self._file.chunks(rows):
            yield images.reshape(-1, *self._spec.shape)

    def take(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the images of these rows, in their order, N x height x width x channels."""
        size = self._spec.pixels
        if len(rows) > len(self) // MANY and len(self) * size <= WHOLE_BYTES:
            if self._whole is None:
                self._whole = self._file.array().reshape(-1, *self._spec.shape)
            chosen: NDArray[np.uint8] = self._whole[rows]
            return chosen
        images = np.empty((len(rows), *self._spec.shape), np.uint8)
        buffers = images.reshape(-1).data
        # Not mapped: pages that were touched would count as memory until the kernel needs it.
        with self._file.path.open("rb", buffering=0) as file:
            start = self._file.path.stat().st_size - len(self) * size
            for number, row in enumerate(rows.tolist()):
                os.preadv(file.fileno(), [buffers[number * size : (number + 1) * size]], start + row * size)
        return images


def write_labels(path: Path, labels: NDArray[Any], spec: ImageSpec) -> None:
    """Write labels, places in `spec.classes`, as an idx file."""
    array = labels.astype(spec.label_type)
    path.write_bytes(
        idx_header(array.dtype, array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


def write_part(directory: Path, part: str, split: Split) -> None:
    """Write the images and labels of a part."""
    images_file, labels_file = raw_files(part, split.spec)
    with PixelWriter(directory / images_file, split.spec.shape) as writer:
        writer.add(split.images)
    write_labels(directory / labels_file, split.labels, split.spec)


def checked_source(directory: Path) -> SourceInfo:
    """Return the description of raw data, after the digests of its files were checked.

    Raises:
        PipelineError: A file is not what source.json says, or a part is missing.
    """
    info = SourceInfo.load(directory)
    needed = {file for part in ("train", "test") for file in raw_files(part, info.spec)}
    known = needed.union(raw_files("validation", info.spec))
    if not needed <= info.files.keys() <= known:
        raise PipelineError(
            f"{directory / info.FILE} must name {', '.join(sorted(needed))} but names "
            f"{', '.join(sorted(info.files)) or 'none'}: run the step that writes it again."
        )
    require_digests(directory, info.files, info.FILE)
    return info


def has_part(directory: Path, part: str, spec: ImageSpec) -> bool:
    """Return whether the raw data has this part."""
    return (directory / raw_files(part, spec)[0]).exists()


def open_part(directory: Path, part: str, spec: ImageSpec) -> Split:
    """Open a part; its images are memory-mapped.

    Raises:
        PipelineError: A file is missing or damaged, or does not hold what `spec` says.
    """
    images_path, labels_path = (directory / file for file in raw_files(part, spec))
    images = IdxFile(images_path, str(images_path)).mapped()
    if spec.channels == 1 and images.ndim == 3:
        images = images[..., None]
    labels = IdxFile(labels_path, str(labels_path)).array()
    return checked_split(images, labels, spec, (str(images_path), str(labels_path)))
