"""Files of pictures where they lie: in a directory, in an archive, or in memory."""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, require_within
from components.common.errors import PipelineError
from components.ingest.decoding import FIRST_READ

NEXT_READ = 2**20
# Of a member of a zip archive; the lengths of name and extra field are its last two numbers.
LOCAL_HEADER = struct.Struct("<4s22xHH")
LOCAL_START = b"PK\x03\x04"
# Bytes of directories and extra field that are mostly enough.
LIKELY = 128
# A picture in an archive: its header's place in a zip file, its content's in a tar file; its bytes there and unpacked.
MEMBER = np.dtype(
    [
        ("start", np.int64),
        ("packed", np.int64),
        ("unpacked", np.int64),
        ("deflated", np.bool_),
        ("crc", np.int64),
    ]
)
PACKED, UNPACKED = 1, 2
# A tar file has none.
NO_CHECKSUM = -1


@dataclass(frozen=True)
class Files:
    """Files of one directory.

    Attributes:
        directory: The directory.
        uri: Its address for people.
        names: Names of the files in it.
        place: Place of the first picture among those of all directories.
    """

    directory: Path
    uri: str
    names: list[str]
    place: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def name(self, at: int) -> str:
        return f"{self.uri}/{self.names[at]}"

    def some(self, start: int, stop: int, place: int) -> Self:
        """Return the files from `start` to before `stop`, the first of which has this place among all."""
        return type(self)(self.directory, self.uri, self.names[start:stop], place)

    def contents(self, most: int) -> Iterator[bytes]:
        # Names relative to an open directory are found faster than paths.
        directory = os.open(self.directory, os.O_RDONLY)
        name = ""
        try:
            for name in self.names:
                # Nobody may ever write into a named pipe that lies there.
                file = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=directory)
                try:
                    content = os.read(file, FIRST_READ)
                    if most > len(content) == FIRST_READ:
                        content += _rest(file, most, f"{self.uri}/{name}")
                finally:
                    os.close(file)
                yield content
        except OSError as error:
            raise PipelineError(
                f"{self.uri}/{name} must be a file that can be read but is not ({error.strerror}): correct it or "
                "leave it out."
            ) from error
        finally:
            os.close(directory)


def _rest(file: int, most: int, uri: str) -> bytes:
    """Return what follows the first read of a file."""
    parts, size = [], FIRST_READ
    while part := os.read(file, NEXT_READ):
        parts.append(part)
        size += len(part)
        require_within(size, most, f"{uri}: the bytes of a picture", "make it smaller")
    return b"".join(parts)


@dataclass(frozen=True, eq=False)
class Members:
    """Pictures of one directory in an archive: writing each as a file would take longer than decoding it.

    Attributes:
        archive: The zip file, or the tar file without compression.
        names: Names of the pictures without directories.
        rows: Array of `MEMBER`, where each lies and what the archive says of it.
        uri: Address of the directory for people.
        place: As that of `Files`.
    """

    archive: Path
    names: list[str]
    rows: NDArray[np.void]
    uri: str = ""
    place: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def name(self, at: int) -> str:
        return f"{self.uri}/{self.names[at]}"

    def some(self, start: int, stop: int, place: int) -> Self:
        """Return the members from `start` to before `stop`, the first of which has this place among all."""
        return replace(self, names=self.names[start:stop], rows=self.rows[start:stop], place=place)

    def chosen(self, names: list[str], uri: str) -> Self:
        """Return the members of these names, in their order."""
        places = {name: place for place, name in enumerate(self.names)}
        return replace(self, names=names, rows=self.rows[[places[name] for name in names]], uri=uri)

    def contents(self, most: int) -> Iterator[bytes]:
        at = 0
        try:
            with self.archive.open("rb") as file:
                for at, row in enumerate(self.rows.tolist()):
                    size = max(row[PACKED], row[UNPACKED])
                    if size > LARGEST_IN_MEMORY:
                        require_within(
                            size, LARGEST_IN_MEMORY, f"{self.name(at)}: its bytes", "make it smaller"
                        )
                    yield _content(file.fileno(), len(self.names[at]), row, most)
        except (EOFError, OSError, struct.error, zlib.error) as error:
            raise PipelineError(
                f"{self.name(at)} must be intact in its archive but is damaged ({error}): fetch or pack it again."
            ) from error


def _content(file: int, name_length: int, row: tuple[int, int, int, bool, int], most: int) -> bytes:
    """Return the content of a member, or its first `most` bytes."""
    begins, packed, unpacked, deflated, checksum = row
    if checksum == NO_CHECKSUM:
        content = os.pread(file, min(most, packed), begins)
        if len(content) < min(most, packed):
            raise EOFError("it ends early")
        return content
    # The extra field is mostly short enough to be read with the rest.
    read = os.pread(file, LOCAL_HEADER.size + name_length + LIKELY + packed, begins)
    start, name_length, extra = LOCAL_HEADER.unpack_from(read)
    if start != LOCAL_START:
        raise EOFError("it has no header")
    begin = LOCAL_HEADER.size + name_length + extra
    content = read[begin : begin + packed]
    if len(content) < packed:
        content = os.pread(file, packed, begins + begin)
    if deflated:
        # One byte more, by which a longer content is noticed.
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, min(most, unpacked) + 1)
    if most < unpacked:
        return content[:most]
    if len(content) != unpacked or zlib.crc32(content) != checksum:
        raise EOFError("its checksum is another")
    return content


@dataclass(frozen=True)
class Contents:
    """Files in memory.

    Attributes:
        files: Their contents.
        part: What they are of, in error messages.
        row: Number of the first one there.
        place: Place of the first picture among all.
    """

    files: list[bytes]
    part: str
    row: int
    place: int

    def __len__(self) -> int:
        return len(self.files)

    def name(self, at: int) -> str:
        return f"{self.part}: the picture in row {self.row + at}"

    def contents(self, most: int) -> Iterator[bytes]:
        del most  # they are read already
        yield from self.files
