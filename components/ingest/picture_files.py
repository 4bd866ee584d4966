"""Files of pictures where they lie: in a directory, in an archive, or in memory."""

import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from components.common.bounds import LARGEST_IN_MEMORY, require_within
from components.common.errors import PipelineError
from components.ingest.decoding import FIRST_READ

NEXT_READ = 2**20
# Of a member of a zip archive; the lengths of name and extra field are its last two numbers.
LOCAL_HEADER = struct.Struct("<4s22xHH")
LOCAL_START = b"PK\x03\x04"
# Bytes of directories and extra field that are mostly enough.
LIKELY = 128


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
                file = os.open(name, os.O_RDONLY, dir_fd=directory)
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


class Member(NamedTuple):
    """A picture in an archive: its name without directories, where it begins, and what the archive says of it.

    Attributes:
        start: Of its header in a zip file, and of its content in a tar file.
        checksum: CRC-32; None in a tar file, which has none.
    """

    name: str
    start: int
    packed: int
    unpacked: int
    deflated: bool
    checksum: int | None


@dataclass(frozen=True)
class Packed:
    """Pictures that stay in their archive: writing each as a file takes longer than decoding it.

    Attributes:
        archive: The zip file, or the tar file without compression.
        members: By the directory that they would be unpacked into.
    """

    archive: Path
    members: Mapping[Path, dict[str, Member]]


@dataclass(frozen=True)
class Members:
    """Pictures of one directory in an archive; attributes as those of `Files`."""

    archive: Path
    uri: str
    members: list[Member]
    place: int = 0

    def __len__(self) -> int:
        return len(self.members)

    def name(self, at: int) -> str:
        return f"{self.uri}/{self.members[at].name}"

    def some(self, start: int, stop: int, place: int) -> Self:
        """Return the members from `start` to before `stop`, the first of which has this place among all."""
        return type(self)(self.archive, self.uri, self.members[start:stop], place)

    def contents(self, most: int) -> Iterator[bytes]:
        at = 0
        try:
            with self.archive.open("rb") as file:
                for at, member in enumerate(self.members):
                    size = max(member.packed, member.unpacked)
                    if size > LARGEST_IN_MEMORY:
                        require_within(
                            size, LARGEST_IN_MEMORY, f"{self.name(at)}: its bytes", "make it smaller"
                        )
                    yield _content(file.fileno(), member, most)
        except (EOFError, OSError, struct.error, zlib.error) as error:
            raise PipelineError(
                f"{self.name(at)} must be intact in its archive but is damaged ({error}): fetch or pack it again."
            ) from error


def _content(file: int, member: Member, most: int) -> bytes:
    """Return the content of a member, or its first `most` bytes."""
    if member.checksum is None:
        content = os.pread(file, min(most, member.packed), member.start)
        if len(content) < min(most, member.packed):
            raise EOFError("it ends early")
        return content
    # The extra field is mostly short enough to be read with the rest.
    read = os.pread(file, LOCAL_HEADER.size + len(member.name) + LIKELY + member.packed, member.start)
    start, name_length, extra = LOCAL_HEADER.unpack_from(read)
    if start != LOCAL_START:
        raise EOFError("it has no header")
    begin = LOCAL_HEADER.size + name_length + extra
    content = read[begin : begin + member.packed]
    if len(content) < member.packed:
        content = os.pread(file, member.packed, member.start + begin)
    if member.deflated:
        # One byte more, by which a longer content is noticed.
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, min(most, member.unpacked) + 1)
    if most < member.unpacked:
        return content[:most]
    if len(content) != member.unpacked or zlib.crc32(content) != member.checksum:
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
