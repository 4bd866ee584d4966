"""The list of members of a usual zip file that holds nothing but pictures, which zipfile reads half as fast."""

import os
import struct
import zipfile
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.common.data.picture import PICTURE_SUFFIXES

SUFFIXES = tuple(PICTURE_SUFFIXES)
# Of the compressions that a zip may have, the usual ones.
PLAIN_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# Members on this disk and on all, bytes of the list, where it begins, and at the end the length of the comment.
END = struct.Struct("<4s4xHHIIH")
END_START = b"PK\x05\x06"
# The same for many members or bytes, and what tells its place.
LARGE_END = struct.Struct("<4s20xQQQQ4s16x")
LARGE_STARTS = (b"PK\x06\x06", b"PK\x06\x07")
# What stands before the name of each member, extra field and comment after it; the lengths of these are in it.
ENTRY_START = b"PK\x01\x02"
ENTRY = np.dtype(
    [
        ("start", "S4"),
        ("versions", "<u4"),
        ("flags", "<u2"),
        ("method", "<u2"),
        ("changed", "<u4"),
        ("checksum", "<u4"),
        ("packed", "<u4"),
        ("unpacked", "<u4"),
        ("name", "<u2"),
        ("extra", "<u2"),
        ("comment", "<u2"),
        ("disk", "<u2"),
        ("text", "<u2"),
        ("kind", "<u4"),
        ("begin", "<u4"),
    ]
)
# What zipfile calls these, and an array of them.
LISTED_BY_ZIPFILE = {
    "flags": "flag_bits",
    "method": "compress_type",
    "checksum": "CRC",
    "packed": "compress_size",
    "unpacked": "file_size",
    "kind": "external_attr",
    "begin": "header_offset",
}
LISTED = np.dtype([(field, np.int64) for field in LISTED_BY_ZIPFILE])
UTF_8 = 0x800
# A number that stands elsewhere, since it needs 64 bits.
ELSEWHERE = 0xFFFFFFFF


class Entries(NamedTuple):
    """Members in the list of a zip file.

    Attributes:
        names: Their names.
        rows: Array of `LISTED`, what else the list says of each.
    """

    names: list[str]
    rows: NDArray[np.void]

    @classmethod
    def of(cls, members: list[zipfile.ZipInfo]) -> "Entries":
        """Return members that zipfile has read."""
        rows = np.empty(len(members), LISTED)
        for field, attribute in LISTED_BY_ZIPFILE.items():
            rows[field] = [getattr(member, attribute) for member in members]
        return cls([member.filename for member in members], rows)

    def chosen(self, which: list[bool]) -> "Entries":
        """Return those that are chosen."""
        return Entries(list(compress(self.names, which)), self.rows[which])


def is_picture(name: str) -> bool:
    """Return whether a file's name is one of a picture."""
    return name.lower().endswith(SUFFIXES)


def picture_entries(path: Path) -> Entries | None:
    """Return the pictures of a zip file that holds nothing else but directories.

    Returns:
        None for what zipfile has to read: a zip file with other files, with a comment, with a picture beyond 4 GiB, in
        another compression, with something before it, or damaged.
    """
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - LARGE_END.size - END.size))
        ends = file.read()
        if len(ends) < END.size:
            return None
        at = length - END.size
        start, count, total, size, begin, comment = END.unpack_from(ends, len(ends) - END.size)
        if start != END_START or comment:
            return None
        if len(ends) == LARGE_END.size + END.size:
            first, large_count, large_total, large_size, large_begin, second = LARGE_END.unpack_from(ends)
            if (first, second) == LARGE_STARTS:
                at -= LARGE_END.size
                count, total, size, begin = large_count, large_total, large_size, large_begin
        if count != total or begin + size != at:
            return None
        file.seek(begin)
        return _entries(file.read(size), count)


def _entries(content: bytes, count: int) -> Entries | None:
    # Where a name holds these bytes too, lengths do not fit.
    before, *parts = content.split(ENTRY_START)
    sizes = np.array([len(part) for part in parts], np.int64) + len(ENTRY_START)
    if before or len(parts) != count or (sizes < ENTRY.itemsize).any():
        return None
    offsets = (np.cumsum(sizes) - sizes)[:, None] + np.arange(ENTRY.itemsize)
    found = np.frombuffer(content, np.uint8)[offsets].view(ENTRY).ravel()
    lengths = found["name"].astype(np.int64)
    if (sizes != ENTRY.itemsize + lengths + found["extra"] + found["comment"]).any():
        return None
    begin = ENTRY.itemsize - len(ENTRY_START)
    names = [part[begin : begin + length] for part, length in zip(parts, lengths.tolist(), strict=True)]
    elsewhere = [(found[field] == ELSEWHERE).any() for field in ("packed", "unpacked", "begin")]
    usual = np.isin(found["method"], list(PLAIN_METHODS)).all()
    if not usual or any(elsewhere) or (texts := _texts(names, found["flags"])) is None:
        return None
    rows = np.empty(count, LISTED)
    for field in LISTED_BY_ZIPFILE:
        rows[field] = found[field]
    pictures = [is_picture(text) for text in texts]
    others = [
        text for text, picture in zip(texts, pictures, strict=True) if not (picture or text.endswith("/"))
    ]
    return None if others else Entries(texts, rows).chosen(pictures)


def _texts(names: list[bytes], flags: NDArray[np.uint16]) -> list[str] | None:
    """Return the names as zipfile would; None where it has to read them."""
    joined = b"\0".join(names)
    if joined.count(b"\0") != max(0, len(names) - 1):
        return None
    # Nearly always, and much faster.
    if joined.isascii():
        return joined.decode("ascii").split("\0") if names else []
    try:
        return [
            name.decode("utf-8" if flag & UTF_8 else "cp437")
            for name, flag in zip(names, flags.tolist(), strict=True)
        ]
    except UnicodeDecodeError:
        return None
