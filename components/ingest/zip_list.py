"""The list of members of a usual zip file that holds nothing but pictures, which zipfile reads half as fast."""

import os
import struct
import zipfile
from pathlib import Path
from typing import NamedTuple

from components.common.data.picture import PICTURE_SUFFIXES

# Of the compressions that a zip may have, the usual ones.
PLAIN_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# Members on this disk and on all, bytes of the list, where it begins, and at the end the length of the comment.
END = struct.Struct("<4s4xHHIIH")
END_START = b"PK\x05\x06"
# The same for many members or bytes, and what tells its place.
LARGE_END = struct.Struct("<4s20xQQQQ4s16x")
LARGE_STARTS = (b"PK\x06\x06", b"PK\x06\x07")
ENTRY = struct.Struct("<4s4xHH4xIIIHHH4xII")
ENTRY_START = b"PK\x01\x02"
UTF_8 = 0x800
# A number that stands elsewhere, since it needs 64 bits.
ELSEWHERE = 0xFFFFFFFF


class Entry(NamedTuple):
    """A member in the list of a zip file, with the names of zipfile."""

    filename: str
    flag_bits: int
    compress_type: int
    CRC: int
    compress_size: int
    file_size: int
    external_attr: int
    header_offset: int


def is_picture(name: str) -> bool:
    """Return whether a file's name is one of a picture."""
    return name[name.rfind(".") :].lower() in PICTURE_SUFFIXES


def picture_entries(path: Path) -> list[Entry] | None:
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


def _entries(content: bytes, count: int) -> list[Entry] | None:
    entries, at = [], 0
    for _ in range(count):
        if len(content) - at < ENTRY.size:
            return None
        start, flags, method, checksum, packed, size, name_length, extra, comment, kind, begin = (
            ENTRY.unpack_from(content, at)
        )
        at += ENTRY.size
        raw = content[at : at + name_length]
        at += name_length + extra + comment
        if (
            start != ENTRY_START
            or method not in PLAIN_METHODS
            or b"\0" in raw
            or ELSEWHERE in {packed, size, begin}
        ):
            return None
        try:
            name = raw.decode("utf-8" if flags & UTF_8 else "cp437")
        except UnicodeDecodeError:
            return None
        if is_picture(name):
            entries.append(Entry(name, flags, method, checksum, packed, size, kind, begin))
        elif not name.endswith("/"):
            return None
    return entries if at == len(content) else None
