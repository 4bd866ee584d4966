"""Headers of tar archives: the usual ones are read here, all others by tarfile, which takes twenty times as long."""

import os
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

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
TIMES_TYPE, REGULAR, DIRECTORY = ord(tarfile.XHDTYPE), ord(tarfile.REGTYPE), ord(tarfile.DIRTYPE)


class UsualMembers(NamedTuple):
    """Members with usual headers, in order.

    Attributes:
        names: Their names.
        files: Whether each is a file, and no directory.
        sizes: Bytes of each content.
        starts: Where each content begins.
    """

    names: list[str]
    files: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    starts: NDArray[np.int64]


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

    def members(self) -> Iterator[tarfile.TarInfo | UsualMembers]:
        """Yield the members in order, those with usual headers many at a time.

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

    def usual_content(self, name: str, start: int, size: int) -> BinaryIO:
        """Return a file that reads the content of a file with a usual header."""
        member = tarfile.TarInfo(name)
        member.offset_data, member.size = start, size
        return self.content(member)

    def _usual_members(self) -> Iterator[UsualMembers]:
        """Yield the members with usual headers that come next, and leave tarfile before the first other header."""
        ahead, at = SHORT_AHEAD, self._archive.offset
        while True:
            members, length = _usual_members(os.pread(self._file.fileno(), ahead, at), at)
            at += length
            if not members.names:
                self._archive.offset = at
                return
            yield members
            ahead = LONG_AHEAD if len(members.names) >= SMALL_MEMBERS else SHORT_AHEAD


def _usual_members(read: bytes, offset: int) -> tuple[UsualMembers, int]:
    """Return the members whose usual headers lie in what was read, and where in it the header after them begins.

    Args:
        read: A part of the file, from the beginning of a header on.
        offset: Where in the file it begins.
    """
    blocks = np.frombuffer(read, np.uint8, len(read) // BLOCK * BLOCK).reshape(-1, BLOCK)
    places, sizes = _usual_headers(blocks)
    kinds = blocks[places, 156]
    contents = np.where(kinds == DIRECTORY, 0, -(-sizes // BLOCK))
    times = kinds == TIMES_TYPE
    # Each header must lie where the one before it leads, and times before a member.
    ends = np.concatenate([[0], places + 1 + contents])
    good = (places == ends[:-1]) & ~(times & np.append(False, times[:-1]))
    good[times] &= _are_times(read, places[times], sizes[times])
    count = int(np.append(good, False).argmin())
    if count and times[count - 1]:
        count -= 1
    members = np.flatnonzero(~times[:count])
    headers = places[members]
    # Bytes after the first zero are no part of a name.
    names = [name.partition(b"\0")[0] for name in blocks[headers, :100].view("S100").ravel().tolist()]
    texts = b"\0".join(names).decode("utf-8", "surrogateescape").split("\0") if names else []
    starts = offset + (headers + 1) * BLOCK
    return UsualMembers(texts, kinds[members] == REGULAR, sizes[members], starts), int(ends[count]) * BLOCK


def _are_times(read: bytes, places: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which further headers, in these blocks, hold nothing but times."""
    found = [
        size <= BLOCK and TIMES.fullmatch(read, start, start + size) is not None
        for start, size in zip(((places + 1) * BLOCK).tolist(), sizes.tolist(), strict=True)
    ]
    return np.array(found, np.bool_)


def _usual_headers(blocks: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which blocks are usual headers of files, directories and times, and the sizes in these.

    Args:
        blocks: N x 512.
    """
    # Few other blocks have these, which are quickly looked at.
    likely = np.isin(blocks[:, 156], (TIMES_TYPE, REGULAR, DIRECTORY)) & (blocks[:, 345] == 0)
    likely &= (blocks[:, 135] == 0) | (blocks[:, 135] == ord(" "))
    places = np.flatnonzero(likely)
    headers = blocks[places]
    digits, written = headers[:, 124:135], headers[:, 148:156]
    # The checksum counts as eight spaces; it has six digits.
    sums = headers.sum(axis=1, dtype=np.uint32).astype(np.int64)
    expected = sums - written.sum(axis=1, dtype=np.int64) + 8 * ord(" ")
    usual = _are_octal(digits) & _are_octal(written[:, :6])
    usual &= _octal(written[:, :6]) == expected
    return places[usual], _octal(digits[usual])


def _are_octal(digits: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which rows are octal digits."""
    return np.asarray(((digits >= ord("0")) & (digits <= ord("7"))).all(axis=1))


def _octal(digits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the numbers that rows of octal digits write."""
    return (digits.astype(np.int64) - ord("0")) @ (8 ** np.arange(digits.shape[1])[::-1])
