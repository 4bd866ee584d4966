"""Arrays in numpy's format, in a file of their own or in an npz archive."""

import io
import math
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, LARGEST_PART, require_within
from components.common.errors import PipelineError, first_line

NPY_MAGIC = b"\x93NUMPY"
# Numbers, truth values and texts. Objects are Python's pickles, which can run code.
KINDS = "biufUS"
# Of an array; that of one without fields has 128 bytes.
LONGEST_HEADER = 2**14
# Of an archive's members, as numpy writes them. zipfile inflates no other in bounded parts.
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# Bytes of an archive's list of members, of which zipfile makes objects that take ten times as many.
LONGEST_LIST = 2**20
MOST_AXES = 64
# By the version of the format.
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class NpyFile:
    """An array whose rows are read in order.

    Attributes:
        name: Name of the array in error messages.
        dtype: Type of the values.
        shape: Shape that the header announces.

    Args:
        path: The npy file, or the npz archive.
        name: Name of the array in error messages.
        member: Name of the array's file in the archive; None for an npy file.

    Raises:
        PipelineError: It is no array of numbers or texts, is not as long as announced, or exceeds the bound.
    """

    def __init__(self, path: Path, name: str, member: str | None = None) -> None:
        self.path, self.name, self.member = path, name, member
        try:
            with self._opened() as (file, length):
                self._offset, self.shape, self._fortran, self.dtype = _header(file)
        # On damaged bytes zipfile, zlib and numpy's header parser raise errors without a common base class.
        except Exception as error:
            raise self._damaged(error) from error
        if self.dtype.kind not in KINDS:
            held = "Python objects" if self.dtype.hasobject else f"values of type {self.dtype}"
            raise PipelineError(
                f"{name} must hold numbers or texts but holds {held}: write it with a type such as uint8 or str."
            )
        require_within(self.nbytes, LARGEST_PART, f"{name}: announced bytes", "give a smaller array")
        if length - self._offset != self.nbytes:
            raise PipelineError(
                f"{name} must hold {self.nbytes} bytes after its header but holds {length - self._offset}: "
                "fetch or write it again."
            )

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize

    def chunks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield the rows as arrays of at most `rows` rows, in the machine's byte order; one chunk is in memory.

        Raises:
            PipelineError: The file is damaged or holds a single value, or its rows do not lie one after another and it
                is large.
        """
        if not self.shape:
            raise PipelineError(f"{self.name} must hold rows but is a single value: write it again.")
        if self._fortran:
            array = self.array()
            for start in range(0, len(array), rows):
                yield array[start : start + rows]
            return
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            with self._opened() as (file, _):
                file.read(self._offset)
                for start in range(0, self.shape[0], rows):
                    count = min(rows, self.shape[0] - start)
                    yield self._native(file.read(count * row_bytes), (count, *self.shape[1:]))
                # The archive's checksum is compared at its end.
                file.read(1)
        except Exception as error:
            raise self._damaged(error) from error

    def array(self) -> NDArray[Any]:
        """Return all rows as one array.

        Raises:
            PipelineError: The file is damaged, or too large to be in memory as a whole.
        """
        require_within(
            self.nbytes,
            LARGEST_IN_MEMORY,
            f"{self.name}: bytes to read at once",
            "write it in C order, in parts",
        )
        try:
            with self._opened() as (file, _):
                file.read(self._offset)
                # Without a size, zipfile would inflate more than the member says that it has.
                content = file.read(self.nbytes)
                file.read(1)
            array = self._native(content, self.shape[::-1] if self._fortran else self.shape)
        except Exception as error:
            raise self._damaged(error) from error
        return array.T if self._fortran else array

    def _native(self, content: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
        array = np.frombuffer(content, self.dtype).astype(self.dtype.newbyteorder("="), copy=False)
        # Python makes no text of such a number, which is found out where the text is wanted.
        if array.dtype.kind == "U" and array.view(np.uint32).max(initial=0) > sys.maxunicode:
            raise ValueError("a character beyond Unicode's last")
        return array.reshape(shape)

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], int]]:
        """Open the array's file; yield it and its length in bytes."""
        if self.member is None:
            with self.path.open("rb") as file:
                yield file, self.path.stat().st_size
            return
        with _archive(self.path) as archive:
            found = archive.getinfo(self.member)
            if found.compress_type not in METHODS:
                raise ValueError(f"compressed by method {found.compress_type}, which numpy does not use")
            with archive.open(found) as member:
                yield member, found.file_size

    def _damaged(self, error: Exception) -> PipelineError:
        reason = first_line(error).removesuffix(".")
        return PipelineError(
            f"{self.name} must be an intact array but is not ({reason:.200}): fetch or write it again."
        )


class _ListedFile(io.BufferedReader):
    """A file of which no more is read at a time than a list of members may have."""

    most = LONGEST_LIST

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise ValueError(f"its list of members has {size:,} bytes")
        return super().read(size)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file, which must not have more members than fit into the memory."""
    with _ListedFile(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        file.most = sys.maxsize  # the list has been read
        yield archive


def npz_members(path: Path) -> list[str]:
    """Return the names of the arrays in an npz archive; none for any other file."""
    try:
        with _archive(path) as archive:
            names = archive.namelist()
    # On damaged bytes zipfile raises errors without a common base class.
    except Exception:
        return []
    return (
        [name.removesuffix(".npy") for name in names] if all(name.endswith(".npy") for name in names) else []
    )


def stored_arrays(content: bytes) -> list[NDArray[Any]]:
    """Return the arrays of an npz archive without compression, in order.

    Raises:
        ValueError: One is compressed, or they announce more bytes than the archive has: no memory is looked for.
        Exception: It is damaged in another way; zipfile, zlib and numpy have no common base class for that.
    """
    announced = 0
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{member.filename} is compressed")
            with archive.open(member) as file:
                _, shape, _, dtype = _header(file)
            announced += math.prod(shape) * dtype.itemsize
    if announced > len(content):
        raise ValueError(
            f"its arrays announce {announced:,} bytes, more than the {len(content):,} of the file"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        return list(saved.values())


def _header(file: IO[bytes]) -> tuple[int, tuple[int, ...], bool, np.dtype[Any]]:
    """Return the place of the first value, the shape, whether the order is Fortran's, and the type."""
    # numpy would read a header of any announced length before it refuses it.
    start = io.BytesIO(file.read(LONGEST_HEADER))
    version = np.lib.format.read_magic(start)
    if version not in READERS:
        raise ValueError(f"version {version} of the format")
    parsed = None
    # Of what is nested too deep Python says that it has no memory, which would be taken for an outage.
    with suppress(MemoryError):
        parsed = READERS[version](start)
    if parsed is None:
        raise ValueError("its header is nested too deep")
    shape, fortran, dtype = parsed
    if len(shape) > MOST_AXES or not all(0 <= side <= sys.maxsize for side in shape):
        raise ValueError("no array has its shape")
    return start.tell(), shape, fortran, dtype
