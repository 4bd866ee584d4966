"""Arrays from npz archives of untrusted origin, whole or in chunks of rows."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, LARGEST_PART, require_within
from components.common.errors import PipelineError, first_line
from components.ingest.form import rows_of

SUFFIX = ".npy"


class Archive:
    """An npz archive; the header of an array is checked before the array is inflated.

    Args:
        path: The archive.
        name: Name of the archive in error messages.

    Raises:
        PipelineError: It is no npz archive.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        if not zipfile.is_zipfile(path):
            raise PipelineError(
                f"{name} must be an npz archive but is {path.stat().st_size} other bytes: fetch or write it again."
            )

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array by its name."""
        with self._opened() as archive:
            keys = [name.removesuffix(SUFFIX) for name in archive.namelist() if name.endswith(SUFFIX)]
        return {key: self._header(key)[1] for key in keys}

    def array(self, key: str) -> NDArray[Any]:
        """Return an array as a whole; its size is bounded."""
        dtype, shape, _ = self._header(key)
        bytes_ = math.prod(shape) * dtype.itemsize
        require_within(bytes_, LARGEST_IN_MEMORY, f"{self.name}: the bytes of {key}", "give a smaller array")
        rows = list(self.chunks(key))
        return np.concatenate(rows) if rows else np.empty(shape, dtype)

    def chunks(self, key: str) -> Iterator[NDArray[Any]]:
        """Yield the rows of an array in order, a few MiB at a time.

        Raises:
            PipelineError: There is no such array, it is damaged, too large or holds Python objects.
        """
        dtype, shape, fortran = self._header(key)
        bytes_ = math.prod(shape) * dtype.itemsize
        require_within(bytes_, LARGEST_PART, f"{self.name}: the bytes of {key}", "give a smaller array")
        if fortran and len(shape) > 1:
            require_within(
                bytes_,
                LARGEST_IN_MEMORY,
                f"{self.name}: the bytes of {key}, in Fortran's order",
                "write it in C's",
            )
        row_bytes = max(1, math.prod(shape[1:]) * dtype.itemsize)
        with self._opened() as archive, archive.open(key + SUFFIX) as member:
            _skip_header(member)
            if fortran and len(shape) > 1:
                content = self._read(member, bytes_, key)
                yield np.frombuffer(content, dtype).reshape(shape, order="F")
                return
            for start in range(0, shape[0] if shape else 0, rows_of(row_bytes)):
                count = min(rows_of(row_bytes), shape[0] - start)
                content = self._read(member, count * row_bytes, key)
                yield np.frombuffer(content, dtype).reshape(count, *shape[1:])

    def _read(self, member: IO[bytes], count: int, key: str) -> bytes:
        content = member.read(count)
        if len(content) < count:
            raise PipelineError(
                f"{self.name}: {key} must hold what its header announces but ends early: fetch it again."
            )
        return content

    def _header(self, key: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
        with self._opened() as archive:
            if key + SUFFIX not in archive.namelist():
                held = ", ".join(sorted(name.removesuffix(SUFFIX) for name in archive.namelist()))
                raise PipelineError(
                    f"{self.name} must hold the array {key} but holds {held or 'none'}: write it again with all."
                )
            with archive.open(key + SUFFIX) as member:
                shape, fortran, dtype = _skip_header(member)
        if dtype.hasobject:
            raise PipelineError(
                f"{self.name}: {key} must hold numbers or texts but holds Python objects: convert it."
            )
        return dtype, shape, fortran

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield archive
        except PipelineError:
            raise
        # On damaged bytes zipfile, zlib and numpy's header parser raise errors without a common base class.
        except Exception as error:
            raise PipelineError(
                f"{self.name} must be an intact npz archive but is not "
                f"({first_line(error).removesuffix('.')}): fetch or write it again."
            ) from error


def _skip_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an npy file; return shape, order and type."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    return shape, fortran, dtype
