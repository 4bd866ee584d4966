"""Headers of tar archives: the usual ones are read here, all others by tarfile, which takes twenty times as long."""

import os
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import require_within

BLOCK = 512
# What is read at a time, and the longest header of a tar member, such as one that holds a long name.
MOST_READ = 2**20
# What is read at a time for headers: more while the members are small.
SHORT_AHEAD, LONG_AHEAD = 2**16, 2**22
# Headers in a short read that show this.
SMALL_MEMBERS = 16
# A further header with nothing but the times of the next member, as tarfile and GNU tar write it.
TIMES = re.compile(rb"(?:\d+ [acm]time=[\d.-]+\n)+")
TIMES_TYPE = b"x"
REGULAR, DIRECTORY = ord(tarfile.REGTYPE), ord(tarfile.DIRTYPE)


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
        ahead, at = SHORT_AHEAD, self._archive.offset
        while True:
            read = os.pread(self._file.fileno(), ahead, at)
            members, length = _usual_members(read)
            for member in members:
                member.offset_data += at
                yield member
            at += length
            if not members:
                self._archive.offset = at
                return
            ahead = LONG_AHEAD if len(members) >= SMALL_MEMBERS else SHORT_AHEAD


def _usual_members(read: bytes) -> tuple[list[tarfile.TarInfo], int]:
    """Return the members whose usual headers lie in what was read, and where the header after them begins."""
    blocks = np.frombuffer(read, np.uint8, len(read) // BLOCK * BLOCK).reshape(-1, BLOCK)
    usual, sizes = _usual_headers(blocks)
    kinds = np.where(usual, blocks[:, 156], 0).tolist()
    names = np.ascontiguousarray(blocks[:, :100]).view("S100").ravel()
    members, at = [], 0
    while at < len(kinds):
        header = at
        if kinds[at] == ord(TIMES_TYPE):
            start = (at + 1) * BLOCK
            if sizes[at] > BLOCK or not TIMES.fullmatch(read, start, start + sizes[at]):
                break
            header += 2
        if header >= len(kinds) or kinds[header] not in {REGULAR, DIRECTORY}:
            break
        # Bytes after the first zero are no part of the name.
        name = names[header].partition(b"\0")[0]
        member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
        member.type, member.size = bytes([kinds[header]]), sizes[header]
        member.offset_data = (header + 1) * BLOCK
        members.append(member)
        at = header + 1
        if kinds[header] == REGULAR:
            at += -(-member.size // BLOCK)
    return members, at * BLOCK


def _usual_headers(blocks: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], list[int]]:
    """Return which blocks are usual headers, and the sizes in these.

    Args:
        blocks: N x 512.
    """
    digits = blocks[:, 124:135]
    usual = ((digits >= ord("0")) & (digits <= ord("7"))).all(axis=1)
    usual &= (blocks[:, 345] == 0) & ((blocks[:, 135] == 0) | (blocks[:, 135] == ord(" ")))
    sums = np.zeros(len(blocks), np.int64)
    sums[usual] = blocks[usual].sum(axis=1, dtype=np.int64)
    # The checksum counts as eight spaces; it has six digits.
    written = blocks[:, 148:156]
    usual &= ((written[:, :6] >= ord("0")) & (written[:, :6] <= ord("7"))).all(axis=1)
    expected = sums - written.sum(axis=1, dtype=np.int64) + 8 * ord(" ")
    usual &= _octal(written[:, :6]) == expected
    return usual, _octal(digits).tolist()


def _octal(digits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the numbers that rows of octal digits write."""
    return (digits.astype(np.int64) - ord("0")) @ (8 ** np.arange(digits.shape[1])[::-1])
