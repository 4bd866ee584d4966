"""Files in the idx format, in which MNIST is published."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError, first_line

UNSIGNED_BYTES = 0x0800
GZIP_MAGIC = b"\x1f\x8b"


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write an array of any shape as an uncompressed idx file."""
    with path.open("wb") as file:
        file.write(_header(array.shape))
        file.write(np.ascontiguousarray(array).data)


def read_idx(path: Path, dimensions: int, name: str) -> NDArray[np.uint8]:
    """Read an idx file, plain or gzip-compressed, as a read-only array.

    Args:
        path: The file.
        dimensions: Number of dimensions that the array must have: 3 for images, 1 for labels.
        name: Name of the file in error messages.

    Returns:
        uint8, in the shape that the header gives.

    Raises:
        PipelineError: It is no idx file of unsigned bytes with these dimensions, or its length is wrong.
    """
    content = _decompressed(path.read_bytes(), name)
    header_size = len(_header((0,) * dimensions))
    if len(content) < header_size:
        raise PipelineError(
            f"{name} must start with an idx header of {header_size} bytes but has only {len(content)}: "
            "fetch or write it again."
        )
    magic, *shape = struct.unpack_from(f">{1 + dimensions}I", content)
    if magic != UNSIGNED_BYTES + dimensions:
        raise PipelineError(
            f"{name} must start with 0x{UNSIGNED_BYTES + dimensions:08x}, the magic number of unsigned bytes in "
            f"{dimensions} dimension(s), but starts with 0x{magic:08x}: give an idx file of such an array."
        )
    announced, found = math.prod(shape), len(content) - header_size
    if found != announced:
        raise PipelineError(
            f"{name} must hold {announced} bytes after its header but holds {found}: fetch or write it again."
        )
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


def _header(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">{1 + len(shape)}I", UNSIGNED_BYTES + len(shape), *shape)


def _decompressed(content: bytes, name: str) -> bytes:
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise PipelineError(
            f"{name} must be intact gzip but is not ({first_line(error)}): fetch it again."
        ) from error
