"""Files in the idx format, in which MNIST is published."""

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_PART, require_within
from components.common.errors import PipelineError, first_line

GZIP_MAGIC = b"\x1f\x8b"
# Code of each type in the third byte; numbers are big-endian.
TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
MOST_DIMENSIONS = 4
ByteFile = IO[bytes] | gzip.GzipFile


def idx_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the beginning of an idx file.

    Args:
        dtype: A type that idx has, in any byte order.
        shape: Shape of the array.
    """
    code = next(code for code, known in TYPES.items() if known == dtype.newbyteorder(">"))
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape)


def open_decompressed(path: Path) -> ByteFile:
    """Open a file for reading, decompressed where it is gzip."""
    with path.open("rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
    return gzip.open(path) if compressed else path.open("rb")


class IdxFile:
    """An idx file, plain or gzip-compressed, whose rows are read in order.

    Attributes:
        dtype: Type of the values in the file, big-endian.
        shape: Shape that the header announces.

    Args:
        path: The file.
        name: Name of the file in error messages.

    Raises:
        PipelineError: It does not start with an idx header, or announces more than the bound.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        with open_decompressed(self.path) as file:
            self.dtype, self.shape = self._header(file)

    def __len__(self) -> int:
        return self.shape[0]

    def chunks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield the rows as arrays of at most `rows` rows, in the machine's byte order; one chunk is in memory.

        Raises:
            PipelineError: The file is damaged, or its length is not what the header announces.
        """
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        announced = self.shape[0] * row_bytes
        with open_decompressed(self.path) as file:
            self._header(file)
            for start in range(0, self.shape[0], rows):
                count = min(rows, self.shape[0] - start)
                content = self._read(file, count * row_bytes)
                if len(content) < count * row_bytes:
                    raise self._wrong_length(announced, str(start * row_bytes + len(content)))
                chunk = np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])
                yield chunk.astype(self.dtype.newbyteorder("="), copy=False)
            if self._read(file, 1):
                raise self._wrong_length(announced, "more")

    def array(self) -> NDArray[Any]:
        """Return all rows as one array.

        Raises:
            PipelineError: As `chunks`.
        """
        # To the end, where the length and gzip's checksum are compared.
        chunks = list(self.chunks(max(1, self.shape[0])))
        return chunks[0] if chunks else np.empty(self.shape, self.dtype.newbyteorder("="))

    def mapped(self) -> NDArray[Any]:
        """Return the rows of a file that is not compressed as a read-only memory map.

        Raises:
            PipelineError: The length of the file is not what the header announces.
        """
        offset = len(idx_header(self.dtype, self.shape))
        announced = math.prod(self.shape) * self.dtype.itemsize
        if (found := self.path.stat().st_size - offset) != announced:
            raise self._wrong_length(announced, str(found))
        if not announced:
            return np.empty(self.shape, self.dtype.newbyteorder("="))
        mapped: NDArray[Any] = np.memmap(self.path, self.dtype, "r", offset, self.shape)
        return mapped

    def _header(self, file: ByteFile) -> tuple[np.dtype[Any], tuple[int, ...]]:
        start = self._read(file, 4)
        zeros, code, dimensions = struct.unpack(">HBB", start) if len(start) == 4 else (1, 0, 0)
        if zeros or code not in TYPES or not 1 <= dimensions <= MOST_DIMENSIONS:
            raise PipelineError(
                f"{self.name} must start with an idx header, such as 0x00000803 for images, but starts with "
                f"0x{start.hex()}: fetch or write it again."
            )
        sizes = self._read(file, 4 * dimensions)
        if len(sizes) < 4 * dimensions:
            raise PipelineError(
                f"{self.name} must have an idx header of {4 + 4 * dimensions} bytes but has only "
                f"{4 + len(sizes)}: fetch or write it again."
            )
        shape = struct.unpack(f">{dimensions}I", sizes)
        announced = math.prod(shape) * TYPES[code].itemsize
        require_within(announced, LARGEST_PART, f"{self.name}: announced bytes", "give a smaller file")
        return TYPES[code], shape

    def _read(self, file: ByteFile, count: int) -> bytes:
        try:
            return file.read(count)
        except (EOFError, OSError, zlib.error) as error:
            raise PipelineError(
                f"{self.name} must be intact gzip but is not ({first_line(error).removesuffix('.')}): fetch it again."
            ) from error

    def _wrong_length(self, announced: int, found: str) -> PipelineError:
        return PipelineError(
            f"{self.name} must hold {announced} bytes after its header but holds {found}: fetch or write it again."
        )
