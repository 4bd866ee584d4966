"""Descriptions of what is no data set of a known form, and ways to make one of it."""

import os
from itertools import chain, islice
from pathlib import Path

from components.common.data.picture import PICTURE_SUFFIXES
from components.ingest.form import Place

UNPACK = "unpack it, and give what is in it"
WRITE_NPZ = "read it in Python, and write numpy.savez('data.npz', x_train=..., y_train=...)"
WRITE_PARQUET = "write it as Parquet, with the columns image and label"
ANOTHER = "give another address"
# Beginnings of files, what they are, and the way out.
BEGINNINGS = (
    (b"\x1f\x8b", "gzip of another form", UNPACK),
    (b"BZh", "bzip2 of another form", UNPACK),
    (b"\xfd7zXZ\0", "xz of another form", UNPACK),
    (b"(\xb5/\xfd", "zstd", UNPACK),
    (b"7z\xbc\xaf'\x1c", "7z", UNPACK),
    (b"Rar!\x1a\x07", "RAR", UNPACK),
    (b"\x89HDF\r\n\x1a\n", "HDF5", WRITE_NPZ),
    (b"MATLAB 5.0", "MATLAB", WRITE_NPZ),
    *((bytes((0x80, version)), "a pickle, which can run code", WRITE_NPZ) for version in range(2, 6)),
    (b"ARROW1", "Feather", WRITE_PARQUET),
    (b"ORC", "ORC", WRITE_PARQUET),
    (b"\xff\xfe", "UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16", "save it as UTF-8"),
)
ARCHIVES = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"}
SHOWN = 40
# Files below a directory that are looked at.
MOST_LOOKED_AT = 1000


def described_place(place: Place) -> tuple[str, str]:
    """Return what a file or a directory is that holds no data set of a known form, and the way out."""
    return _described_directory(place) if place.path.is_dir() else _described_file(place.path)


def _described_file(path: Path) -> tuple[str, str]:
    with path.open("rb") as file:
        start = file.read(2 * SHOWN)
    size = f"is a file of {path.stat().st_size} bytes"
    for beginning, name, way_out in BEGINNINGS:
        if start.startswith(beginning):
            return f"{size}, {name}", way_out
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return f"{size}, one picture", "give a directory that holds a directory of pictures for each class"
    text = start.decode("utf-8", "ignore").partition("\n")[0].strip()[:SHOWN]
    if text and text.isprintable():
        return f"{size} that starts with {text!r}", ANOTHER
    return f"{size} that starts with 0x{start[:8].hex()}", ANOTHER


def _described_directory(place: Place) -> tuple[str, str]:
    packed = {directory: members.names for directory, members in place.packed.items()}
    names = sorted([*(child.name for child in place.path.iterdir()), *packed.get(place.path, [])])
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    held = f"is a directory that holds {shown or 'nothing'}"
    walked = ([*files, *packed.get(Path(path), [])] for path, _, files in os.walk(place.path))
    kinds = {Path(name).suffix.lower() for name in islice(chain.from_iterable(walked), MOST_LOOKED_AT)}
    deep = bool(kinds) and any((place.path / name).is_dir() for name in names)
    if deep:
        listed = ", ".join(sorted(kind or "without an ending" for kind in kinds)[:5])
        held += f", and below them such files: {listed}"
    if kinds & ARCHIVES:
        return held, "unpack what is packed in it"
    if kinds & PICTURE_SUFFIXES:
        return held, "put the pictures of each class into a directory of their own"
    return held, "convert pictures to PNG or JPEG, or give another address" if deep else ANOTHER
