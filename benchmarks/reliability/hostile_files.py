"""Files whose headers say what is not so: sizes, types, names, checksums."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.reliability.mutations import NUMBERS, mutated, text

TYPES = ("|u1", "|i1", "|b1", "<i2", ">i2", "<i8", "<f4", ">f8", "<c16", "|O", "|S3", "<U4", "|V8", "<M8[ns]")
NAMES = ("x_train", "y_train", "x_test", "y_test", "arr_0", "images", "labels", "train_images", "class_names")
PATHS = ("a/1.png", "b/2.png", "train/a/3.png", "../x.png", "/x/x.png", "a/../../x.png", "C:\\x.png", "a\\4.png",
         ".x/5.png", "a/1.png", "a", "a/", "data.csv", "é/6.png", "a/" * 200 + "7.png", "", "\x00.png")  # fmt: skip
# Inflates to a thousand times its size, and to no more than the bounds of a test.
BOMB = bytes(2**21)


def picture(random: Random, kind: str = "PNG", side: int = 8) -> bytes:
    """Return a small picture."""
    content = io.BytesIO()
    mode = random.choice(("L", "RGB") if kind == "JPEG" else ("L", "RGB", "RGBA", "P", "1", "I;16"))
    if kind in {"BMP", "WEBP"}:
        mode = "RGB"
    size = (side, random.choice((side, side, 1, 17)))
    image = Image.frombytes("RGB", size, random.randbytes(3 * size[0] * size[1]))
    (Image.new("I;16", size, 300) if mode == "I;16" else image.convert(mode)).save(content, kind)
    return content.getvalue()


def png(random: Random) -> bytes:  # noqa: C901  # a branch for each kind of change
    """Return a PNG file with other chunks, of which most have right checksums."""
    content = picture(random)
    chunks, at = [], 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    for _ in range(random.randint(0, 3)):
        at = random.randrange(len(chunks))
        kind, data = chunks[at]
        action = random.randrange(6)
        if action == 0:
            chunks[at] = (kind, mutated(random, data))
        elif action == 1:
            chunks.insert(
                at, (random.choice((b"tEXt", b"zTXt", b"iCCP", b"tRNS", b"eXIf", b"PLTE", b"acTL")), BOMB[:9])
            )
        elif action == 2:
            chunks.insert(at, chunks[random.randrange(len(chunks))])
        elif action == 3:
            del chunks[at]
            if not chunks:
                break
        elif action == 4 and kind == b"IHDR":
            size = struct.pack(">II", *random.choices(NUMBERS[:13], k=2))
            chunks[at] = (kind, size + data[8:])
        elif kind == b"IDAT":
            chunks[at] = (kind, zlib.compress(random.choice((BOMB, b"", random.randbytes(100)))))
    body = b""
    for kind, data in chunks:
        good = zlib.crc32(kind + data) if random.random() < 0.95 else 0
        body += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", good)
    return content[:8] + body


def idx(random: Random, images: bool) -> bytes:
    """Return an idx file, plain or compressed."""
    dimensions = (3 if images else 1) if random.random() < 0.8 else random.randrange(6)
    shape = [random.choice((0, 1, 2, 4, 6, random.choice(NUMBERS[:13]))) for _ in range(dimensions)]
    code = 8 if random.random() < 0.8 else random.randrange(256)
    header = struct.pack(">HBB", 0 if random.random() < 0.95 else 1, code, dimensions)
    header += b"".join(struct.pack(">I", size) for size in shape)
    size = min(int(np.prod(shape, dtype=object)) if shape else 0, 2**16)
    content = header + (random.randbytes(size) if images else bytes(number % 2 for number in range(size)))
    if random.random() < 0.2:
        content += BOMB if random.random() < 0.3 else b"x"
    return gzip.compress(content, 1) if random.random() < 0.4 else content


def npy(random: Random, shape: tuple[int, ...] | None = None, kind: str | None = None) -> bytes:
    """Return an npy file."""
    shape = shape or tuple(random.choice((0, 1, 2, 3, 8)) for _ in range(random.randrange(5)))
    kind = kind or random.choice(TYPES)
    size = int(np.prod(shape)) * (np.dtype(kind).itemsize or 1)
    chance = kind == "|u1" or (kind == "<U4" and random.random() < 0.2)
    content = random.randbytes(size) if chance else bytes(size)
    said: Any = shape
    if random.random() < 0.3:
        said = random.choice(
            ((2**62,), (-1, 3), "(1,)", (True,), (*shape, random.choice(NUMBERS)), 5, (1.5,))
        )
    header = (
        f"{{'descr': {kind!r}, 'fortran_order': {random.choice((True, False, False, 3))}, 'shape': {said}, }}"
    )
    if random.random() < 0.1:
        header = random.choice(("{" * 300, "__import__('os')", "1" * 5000, "", "{'descr': [('a', '<i4')], }"))
    raw = header.encode().ljust(random.choice((118, 64, 1)), b" ") + b"\n"
    version = 1 if random.random() < 0.85 else random.choice((2, 3, 9))
    length = len(raw) if random.random() < 0.9 else random.choice(NUMBERS[:9])
    return (
        b"\x93NUMPY"
        + bytes((version, 0))
        + struct.pack("<H" if version == 1 else "<I", length)
        + raw
        + content
    )


def zipped(random: Random, name: Callable[[Random], str], content: Callable[[Random], bytes]) -> bytes:
    """Return a zip file, of which the list may say something else than the members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for _ in range(random.randint(0, 5)):
            member = zipfile.ZipInfo(name(random).replace("\0", "") or "x")
            member.compress_type = random.choice(
                (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
            )
            member.external_attr = random.choice((0, 0, 0o100644, 0o120777, 0o040755)) << 16
            archive.writestr(member, BOMB if random.random() < 0.02 else content(random))
    found = bytearray(file.getvalue())
    if random.random() < 0.6:
        for start, fields in (
            (b"PK\x01\x02", (8, 10, 16, 20, 24, 28, 30, 42)),
            (b"PK\x05\x06", (8, 10, 12, 16, 20)),
        ):
            at = found.find(start)
            if at >= 0 and random.random() < 0.6:
                place, width = at + random.choice(fields), random.choice((2, 4))
                found[place : place + width] = (random.choice(NUMBERS) & (256**width - 1)).to_bytes(
                    width, "little"
                )
    return mutated(random, bytes(found)) if random.random() < 0.3 else bytes(found)


def tarred(random: Random) -> bytes:
    """Return a tar file, plain or compressed, of which a header may say something else than its member."""
    file = io.BytesIO()
    with tarfile.open(
        fileobj=file, mode="w", format=random.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    ) as archive:
        for _ in range(random.randint(0, 5)):
            member = tarfile.TarInfo(random.choice(PATHS).replace("\0", "") or "x")
            content = picture(random)
            member.type = random.choice(
                (tarfile.REGTYPE,) * 6 + (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
            )
            member.linkname = random.choice(("../../x", "/etc/x", "a"))
            member.size = len(content) if member.type == tarfile.REGTYPE else 0
            if random.random() < 0.2:
                member.pax_headers = {
                    random.choice(("size", "path", "GNU.sparse.map", "GNU.sparse.size")): random.choice(
                        ("0", "-1", "9" * 30, "0,1,2", "a", "../x")
                    )
                }
            archive.addfile(member, io.BytesIO(content) if member.size else None)
    found = bytearray(file.getvalue())
    if random.random() < 0.5:
        at = 512 * random.randrange(max(1, len(found) // 512))
        found[at + 124 : at + 136] = random.choice(
            (b"77777777777\0", b"\x80" + b"\xff" * 11, b"-0000000001\0", b" " * 12)
        )
        header = found[at : at + 512]
        header[148:156] = b" " * 8
        found[at + 148 : at + 156] = f"{sum(header):06o}\0 ".encode()
    content = mutated(random, bytes(found)) if random.random() < 0.3 else bytes(found)
    return gzip.compress(content, 1) if random.random() < 0.2 else content


def table(random: Random) -> bytes:
    """Return a CSV file of pixels, with some cells that are none."""
    columns, rows = random.choice((17, 17, 16, 26, 65)), random.randint(0, 8)
    delimiter = random.choice(",,,;\t")
    names = ["label", *(f"pixel{number}" for number in range(columns - 1))]
    lines = [names] if random.random() < 0.7 else []
    lines += [[str(row % 2), *(str(random.randrange(256)) for _ in names[1:])] for row in range(rows)]
    for _ in range(random.randint(0, 3)):
        line = random.choice(lines or [names])
        line[random.randrange(len(line))] = random.choice(
            ("", "-1", "256", "1e999", "nan", '"', '"a,b"', "9" * 400, text(random, 6))
        )
    content = random.choice(("\n", "\n", "\r\n", "\r")).join(delimiter.join(line) for line in lines)
    found = content.encode("utf-8", "surrogatepass")
    found = mutated(random, found) if random.random() < 0.3 else found
    return gzip.compress(found, 1) if random.random() < 0.2 else found
