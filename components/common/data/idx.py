"""The idx format of unsigned bytes that MNIST is published in."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError

UNSIGNED_BYTES = 0x0800
GZIP_MAGIC = b"\x1f\x8b"


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    with path.open("wb") as file:
        file.write(_header(array.shape))
        file.write(np.ascontiguousarray(array).data)


def read_idx(path: Path, dimensions: int, name: str) -> NDArray[np.uint8]:
    """Read an idx file, plain or gzip-compressed, as a read-only array.

    Args:
        path: The file.
        dimensions: How many dimensions the array must have: 3 for images, 1 for labels.
        name: What to call the file in an error.

    Raises:
        PipelineError: It is not an idx file of unsigned bytes in so many dimensions, cut short or too long.
    """
    content = _decompressed(path.read_bytes(), name)
    header_size = len(_header((0,) * dimensions))
    if len(content) < header_size:
        raise PipelineError(
            f"{name}: an idx file starts with {header_size} bytes of header but there are only {len(content)}"
        )
    magic, *shape = struct.unpack_from(f">{1 + dimensions}I", content)
    if magic != UNSIGNED_BYTES + dimensions:
        raise PipelineError(
            f"{name}: the magic number of unsigned bytes in {dimensions} dimension(s) is "
            f"0x{UNSIGNED_BYTES + dimensions:08x} but this file starts with 0x{magic:08x}"
        )
    announced, found = math.prod(shape), len(content) - header_size
    if found != announced:
        fault = "truncated" if found < announced else "followed by other bytes"
        raise PipelineError(f"{name}: {fault}: the header announces {announced} bytes but {found} follow it")
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


def _header(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">{1 + len(shape)}I", UNSIGNED_BYTES + len(shape), *shape)


def _decompressed(content: bytes, name: str) -> bytes:
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise PipelineError(f"{name}: corrupt gzip: {error}; fetch the file again") from error
