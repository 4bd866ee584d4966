"""Headers of tar archives: the usual ones are read here, and all others by tarfile, which takes ten times as long."""

import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from components.common.bounds import require_within

BLOCK = 512
# What is read at a time, and the longest header of a tar member, such as one that holds a long name.
MOST_READ = 2**20
# Of small members, many headers.
READ_AHEAD = 2**16
# A further header with nothing but the times of the next member, as tarfile and GNU tar write it.
TIMES = re.compile(rb"(?:\d+ [acm]time=[\d.-]+\n)+")
TIMES_TYPE = b"x"


class _Bounded:
    """A file that reads a bounded number of bytes at a time; tarfile would read a header of any announced length.

    Attributes:
        last: What was read last.
    """

    def __init__(self, file: BinaryIO, uri: str) -> None:
        self._file = file
        self._uri = uri
        self.last = b""

    def read(self, size: int) -> bytes:
        require_within(
            size,
            MOST_READ,
            f"{self._uri}: the bytes of a member's header",
            "unpack it, and give the directory",
        )
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Headers:
    """The headers of an open tar file.

    Raises:
        tarfile.TarError: The first header is damaged.
    """

    def __init__(self, file: BinaryIO, uri: str) -> None:
        self._file = file
        self._reader = _Bounded(file, uri)
        self._archive = tarfile.open(fileobj=cast("BinaryIO", self._reader), mode="r:")  # noqa: SIM115

    def members(self) -> Iterator[tarfile.TarInfo]:
        """Yield the members in order; of one with a usual header, only name, type, size and place of the content.

        Raises:
            tarfile.TarError: A header is damaged, or the archive's end is missing.
            PipelineError: A header is too long.
        """
        while member := self._archive.next():
            if member.size < 0:
                raise tarfile.ReadError(f"a negative size before byte {self._archive.offset}")
            yield member
            # Else the descriptions of all members stay in memory.
            self._archive.members.clear()  # type: ignore[attr-defined]
            # A header for all members changes what follows.
            if self._archive.pax_headers.keys() <= {"comment"}:
                yield from self._usual_members()
        # tarfile takes a damaged header, or a missing one, for the end.
        if self._reader.last != bytes(BLOCK):
            raise tarfile.ReadError(f"no header at byte {self._archive.offset}")

    def content(self, member: tarfile.TarInfo) -> BinaryIO:
        """Return a file that reads the content of a member that is a file."""
        return cast("BinaryIO", self._archive.extractfile(member))

    def _usual_members(self) -> Iterator[tarfile.TarInfo]:
        """Yield the members with usual headers that come next, and leave tarfile before the first other header."""
        number, begin, read = self._file.fileno(), 0, b""
        at = self._archive.offset
        while True:
            if not 0 <= at - begin <= len(read) - 3 * BLOCK:
                begin, read = at, os.pread(number, READ_AHEAD, at)
            start = at - begin
            header, size = _usual(read, start)
            if (
                header[156:157] == TIMES_TYPE
                and size <= BLOCK
                and TIMES.fullmatch(read, start + BLOCK, start + BLOCK + size)
            ):
                start += 2 * BLOCK
                header, size = _usual(read, start)
            kind = header[156:157]
            if kind not in {tarfile.REGTYPE, tarfile.DIRTYPE}:
                self._archive.offset = at
                return
            member = tarfile.TarInfo(header[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape"))
            member.type, member.size = kind, size
            member.offset_data = at = begin + start + BLOCK
            if kind == tarfile.REGTYPE:
                at += -(-size // BLOCK) * BLOCK
            yield member


def _usual(read: bytes, start: int) -> tuple[bytes, int]:
    """Return the header that starts there and the size in it; nothing and 0 for a damaged or an unusual one."""
    header = read[start : start + BLOCK]
    digits = header[124:135]
    # The lower half of Adler-32 is 1 and the sum of the bytes; the checksum counts as eight spaces.
    total = zlib.adler32(header[156:], zlib.adler32(header[:148])) - 1 + 8 * 0x20
    usual = digits.isdigit() and header[135:136] in b"\0 " and header[345:346] == b"\0"
    try:
        if usual and int(header[148:154], 8) == total & 0xFFFF:
            return header, int(digits, 8)
    except ValueError:
        pass
    return b"", 0
