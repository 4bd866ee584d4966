"""Plain PNG pictures of one size, decoded many at a time; the result is Pillow's."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">4x4sIIBBBBBI")
# Where the chunk after the header begins.
AFTER_HEADER = len(SIGNATURE) + HEADER.size
# Where the pixels begin when they follow at once.
DATA = AFTER_HEADER + 8
END = b"\0\0\0\0IEND\xaeB`\x82"
# Length of a file without pixels: their chunk has a checksum too.
SHORTEST = DATA + 4 + len(END)
# Color types of the format, and the channels that its pictures have on a white background; a palette's are unknown.
CHANNELS = {0: 1, 2: 3, 4: 1, 6: 3}
WITH_ALPHA = {4, 6}
# Chunks that say nothing about pixels and position, and the length that Pillow asks of them.
HARMLESS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7}
# Of text chunks; others hold a position, among other things.
HARMLESS_TEXTS = (b"Software\0", b"Comment\0", b"Creation Time\0", b"Title\0", b"Author\0", b"date:")
FILTERS = bytes(range(5))
# Bytes of a file that are not of pixels.
MOST_OVERHEAD = 4096


def png_shape(start: bytes) -> tuple[int, int, int, bool] | None:
    """Return height, width, channels and whether there is an alpha channel, as the beginning of a PNG file says.

    Returns:
        None for another file, and where more than the beginning decides.
    """
    if len(start) <= AFTER_HEADER or not start.startswith(SIGNATURE):
        return None
    kind, width, height, _depth, color, _method, _filter, _interlaced, _sum = HEADER.unpack_from(
        start, len(SIGNATURE)
    )
    if kind != b"IHDR" or color not in CHANNELS or not (width and height) or not _data_at(start):
        return None
    return height, width, CHANNELS[color], color in WITH_ALPHA


class PngBatch:
    """Plain PNG pictures of one size: 8 bits a channel, grey or colour, neither transparent nor interlaced.

    Python inflates each of them; then Pillow undoes the filters of all, as if they were one tall picture. This takes a
    fifth of the time that Pillow needs for a small picture at a time.

    Args:
        shape: Height, width and channels of the pictures.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        height, width, channels = self._shape = shape
        self._stride = 1 + width * channels
        self._bytes = height * self._stride
        color = {1: 0, 3: 2}[channels]
        header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
        self._start = SIGNATURE + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        self._rows: list[bytes] = []

    def add(self, content: bytes) -> bool:
        """Add the content of a file, and return True; return False for any file but a flawless one as above."""
        # Of a short file, what it inflates to is bounded too.
        if len(content) > self._bytes + MOST_OVERHEAD or not content.startswith(self._start):
            return False
        try:
            rows = zlib.decompress(_data(content), bufsize=self._bytes)
        except zlib.error:
            return False
        # The first byte of each row is its filter.
        if len(rows) != self._bytes or rows[:: self._stride].strip(FILTERS):
            return False
        self._rows.append(rows)
        return True

    def images(self) -> NDArray[np.uint8]:
        """Return the pictures that were added, N x height x width x channels."""
        from PIL import Image

        height, width, channels = self._shape
        if not self._rows:
            return np.empty((0, *self._shape), np.uint8)
        # Filters refer to the row above, which is black for a picture's first row.
        gap = bytes(self._stride)
        data = zlib.compress(gap.join([*self._rows, b""]), level=0)
        mode = "L" if channels == 1 else "RGB"
        tall = Image.frombytes(mode, (width, len(self._rows) * (height + 1)), data, "zip", mode)
        return np.asarray(tall).reshape(-1, height + 1, width, channels)[:, :height]


def _data(content: bytes) -> bytes:
    """Return the compressed pixels; nothing where anything but harmless chunks stands before or after them."""
    # Most files have one chunk of pixels and no other.
    length = int.from_bytes(content[AFTER_HEADER : AFTER_HEADER + 4])
    if (
        len(content) == length + SHORTEST
        and content[AFTER_HEADER + 4 : DATA] == b"IDAT"
        and content.endswith(END)
    ):
        return content[DATA : DATA + length]
    at = _data_at(content)
    parts = []
    while at and content[at + 4 : at + 8] == b"IDAT":
        end = at + 8 + int.from_bytes(content[at : at + 4])
        parts.append(content[at + 8 : end])
        at = end + 4
    return b"".join(parts) if _ends_at(content, at) else b""


def _data_at(content: bytes) -> int:
    """Return where the first chunk of pixels begins; 0 where anything but harmless chunks stands before it."""
    at = AFTER_HEADER
    while content[at + 4 : at + 8] != b"IDAT":
        if not (length := _harmless(content, at)):
            return 0
        at += length
    return at


def _ends_at(content: bytes, at: int) -> bool:
    """Return whether nothing but harmless chunks stands between a place and the end of the picture."""
    while content[at + 4 : at + 8] != b"IEND":
        if not (length := _harmless(content, at)):
            return False
        at += length
    return True


def _harmless(content: bytes, at: int) -> int:
    """Return the bytes of a harmless chunk; 0 for another one."""
    length = int.from_bytes(content[at : at + 4])
    kind, end = content[at + 4 : at + 8], at + 8 + length
    text = kind == b"tEXt" and content.startswith(HARMLESS_TEXTS, at + 8)
    if not text and HARMLESS.get(kind) != length:
        return 0
    good = int.from_bytes(content[end : end + 4]) == zlib.crc32(content[at + 4 : end])
    return 12 + length if good and end + 4 <= len(content) else 0
