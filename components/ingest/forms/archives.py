"""Archives, zip and tar, of data sets in any form."""

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from itertools import compress, groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.common.bounds import LARGEST_DOWNLOAD, MOST_FILES, require_within
from components.common.errors import PipelineError, first_line
from components.ingest.decoding import start_processes
from components.ingest.form import Place
from components.ingest.inflating import Inflating
from components.ingest.picture_files import MEMBER, NO_CHECKSUM, Members
from components.ingest.tar_headers import BLOCK, MOST_READ, Headers, UsualMembers
from components.ingest.zip_list import PLAIN_METHODS, Entries, is_picture, picture_entries

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# Beginnings of the mode of a regular file, and of a missing one.
REGULAR = {0, stat.S_IFREG}
FILE_TYPE = stat.S_IFMT(0o177777)
# Of an archive whose list of members takes as long to read as processes take to start.
MANY_BYTES = 16 * 2**20
# Beginning of a compressed file, and what opens it.
COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
UNPACK_IT = "unpack it, and give the directory"


class _Bounds:
    """The bounds on what an archive may hold.

    Attributes:
        place: The archive.
    """

    def __init__(self, place: Place, directory: Path) -> None:
        self.place = place
        self._free = shutil.disk_usage(directory).free
        self._bytes = 0
        self._members = 0

    def announce(self, size: int, members: int = 1) -> None:
        """Count members and the bytes that they say they have, before any of them is inflated."""
        self._bytes += size
        self._members += members
        if self._members <= MOST_FILES and self._bytes <= min(LARGEST_DOWNLOAD, self._free):
            return
        uri = self.place.uri
        require_within(self._members, MOST_FILES, f"{uri}: the number of files", "give a part of them")
        require_within(self._bytes, LARGEST_DOWNLOAD, f"{uri}: the unpacked bytes", "give a part of them")
        require_within(self._bytes, self._free, f"{uri}: the unpacked bytes", "make room on the disk")


class _Target(_Bounds):
    """The directory that an archive is unpacked into, and the bounds on what is written there."""

    def __init__(self, place: Place, directory: Path) -> None:
        directory.mkdir(parents=True)
        super().__init__(place, directory)
        self._directory = directory
        self._kept: dict[Path, list[tuple[list[str], NDArray[np.void]]]] = {}

    def path(self, name: str) -> Path | None:
        """Return where to write a member; None for one that is hidden."""
        relative = PurePosixPath(name.replace("\\", "/"))
        if relative.is_absolute() or ".." in relative.parts:
            raise PipelineError(
                f"{self.place.uri}: members must lie in its own directory but one is {name!r}: {UNPACK_IT}."
            )
        if any(part.startswith(".") or part == "__MACOSX" for part in relative.parts) or not relative.parts:
            return None
        return self._directory / relative

    def keep_packed(self, names: list[str], rows: NDArray[np.void]) -> None:
        """Leave pictures in the archive, and make their directories.

        Args:
            names: Names of the members.
            rows: Array of `MEMBER`.
        """
        split = [(name.replace("\\", "/") if "\\" in name else name).rpartition("/") for name in names]
        shown = [not short.startswith(".") for _, _, short in split]
        if not all(shown):
            split, names, rows = list(compress(split, shown)), list(compress(names, shown)), rows[shown]
        paths: dict[str, Path | None] = {}
        start = 0
        for parent, together in groupby(split, itemgetter(0)):
            shorts = [short for _, _, short in together]
            if parent not in paths:
                paths[parent] = self._made(names[start])
            if path := paths[parent]:
                self._kept.setdefault(path, []).append((shorts, rows[start : start + len(shorts)]))
            start += len(shorts)

    def _made(self, name: str) -> Path | None:
        """Make the directory of a member, and return it; None for one that is hidden."""
        if path := self.path(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.parent
        return None

    def packed(self, archive: Path) -> dict[Path, Members]:
        """Return the pictures that stay in the archive by the directories that they would be in."""
        members = {}
        for directory, parts in self._kept.items():
            names = [name for shorts, _ in parts for name in shorts]
            if len(set(names)) < len(names):
                (name, _), *_ = Counter(names).most_common(1)
                self._refuse_second(str((directory / name).relative_to(self._directory)))
            members[directory] = Members(archive, names, np.concatenate([rows for _, rows in parts]))
        return members

    def _refuse_second(self, name: str) -> None:
        raise PipelineError(
            f"{self.place.uri}: members must have names of their own but {name!r} occurs twice: {UNPACK_IT}."
        )

    def write(self, name: str, size: int, content: BinaryIO) -> None:
        """Write a member of as many bytes as it announced."""
        if not (path := self.path(name)):
            return
        if path.exists():
            self._refuse_second(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while size and (part := content.read(min(size, MOST_READ))):
                file.write(part)
                size -= len(part)
        if size:
            raise EOFError(f"{name} ends {size} bytes early")

    def refuse(self, name: str) -> None:
        """Refuse a member that is a link, a device or a file with holes, which may stand for any number of bytes."""
        raise PipelineError(
            f"{self.place.uri}: members must be whole files and directories but {name!r} is neither: "
            "pack the files themselves, without --sparse."
        )


def unpack(place: Place, target: Path) -> Place | None:
    """Unpack an archive into a new directory; hidden files are left out, and pictures stay in it.

    Archives are known by their content: zip, and tar as it is or compressed by gzip, bzip2 or xz. A compressed tar with
    pictures is kept without its compression beside the new directory.

    Args:
        place: The file.
        target: Directory to make.

    Returns:
        The directory under the archive's address; None for a file that is no archive, and for an npz.

    Raises:
        PipelineError: The archive is damaged, encrypted or larger than the bounds, or has a member outside of its own
            directory, a link or a device.
    """
    if not place.path.is_file():
        return None
    try:
        return _unpacked(place, target)
    except PipelineError:
        raise
    # Damaged archives raise errors of zipfile, tarfile, zlib, struct and others, without a common base class.
    except Exception as error:
        raise PipelineError(
            f"{place.uri} must be an archive that can be unpacked but is damaged or of an unknown kind "
            f"({first_line(error).removesuffix('.')}): fetch or pack it again."
        ) from error


def may_be_archive(path: Path) -> bool:
    """Return whether a file begins as an archive does, or as other compressed content."""
    with path.open("rb") as file:
        start = file.read(BLOCK)
    return start.startswith((*ZIP_STARTS, *COMPRESSED)) or _is_tar(start)


def _unpacked(place: Place, target: Path) -> Place | None:
    with place.path.open("rb") as file:
        start = file.read(BLOCK)
    large = place.path.stat().st_size > MANY_BYTES
    if start.startswith(ZIP_STARTS):
        if large:
            start_processes()
        return _unpacked_zip(place, target)
    opened = next((opened for magic, opened in COMPRESSED.items() if start.startswith(magic)), None)
    if opened:
        with opened(place.path) as file:
            start = file.read(BLOCK)
    # It may be one compressed file, such as one of idx.
    if not _is_tar(start):
        return None
    if large:
        start_processes()
    unpacked = _Target(place, target)
    if not opened:
        with place.path.open("rb") as file:
            _unpack_tar(file, unpacked)
        return Place(target, place.uri, unpacked.packed(place.path))
    path = target.with_name(f"{target.name}.tar")
    bounds = _Bounds(place, target)
    with (
        opened(place.path) as compressed,
        Inflating(compressed, path, lambda size: bounds.announce(size, 0)) as file,
    ):
        _unpack_tar(cast("BinaryIO", file), unpacked)
    packed = unpacked.packed(path)
    if not packed:
        path.unlink()
    return Place(target, place.uri, packed)


def _unpacked_zip(place: Place, target: Path) -> Place | None:
    if entries := picture_entries(place.path):
        unpacked = _Target(place, target)
        _require_plain_files(entries, unpacked)
        _keep_packed(entries, unpacked)
        return Place(target, place.uri, unpacked.packed(place.path))
    with zipfile.ZipFile(place.path) as archive:
        members = archive.infolist()
        if members and all(member.filename.endswith(".npy") for member in members):
            return None
        unpacked = _Target(place, target)
        members = [member for member in members if not member.is_dir()]
        entries = Entries.of(members)
        _require_plain_files(entries, unpacked)
        plain = all(member.compress_type in PLAIN_METHODS for member in members)
        pictures = [plain and is_picture(name) for name in entries.names]
        _keep_packed(entries.chosen(pictures), unpacked)
        for member, kept in zip(members, pictures, strict=True):
            if not kept:
                with archive.open(member) as content:
                    unpacked.write(member.filename, member.file_size, cast("BinaryIO", content))
    return Place(target, place.uri, unpacked.packed(place.path))


def _require_plain_files(files: Entries, target: _Target) -> None:
    """Refuse what may not be unpacked."""
    target.announce(int(files.rows["unpacked"].sum()), len(files.names))
    # The type of the file; archives that were not packed on Unix have none.
    kinds = (files.rows["kind"] >> 16) & FILE_TYPE
    for place in np.flatnonzero(~np.isin(kinds, list(REGULAR))):
        target.refuse(files.names[place])
    for place in np.flatnonzero(files.rows["flags"] & 1):
        raise PipelineError(
            f"{target.place.uri} must be readable without a password but {files.names[place]!r} is encrypted: "
            f"{UNPACK_IT}."
        )


def _keep_packed(entries: Entries, target: _Target) -> None:
    rows = np.empty(len(entries.names), MEMBER)
    rows["start"], rows["crc"] = entries.rows["begin"], entries.rows["checksum"]
    rows["packed"], rows["unpacked"] = entries.rows["packed"], entries.rows["unpacked"]
    rows["deflated"] = entries.rows["method"] == zipfile.ZIP_DEFLATED
    target.keep_packed(entries.names, rows)


def _is_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _unpack_tar(file: BinaryIO, target: _Target) -> None:
    headers = Headers(file, target.place.uri)
    for found in headers.members():
        if isinstance(found, UsualMembers):
            _unpack_usual(headers, found, target)
            continue
        if not found.isfile() or found.sparse is not None:
            target.announce(0)
            if not found.isdir():
                target.refuse(found.name)
            continue
        target.announce(found.size)
        if is_picture(found.name):
            target.keep_packed([found.name], _tar_rows([found.offset_data], [found.size]))
        else:
            target.write(found.name, found.size, headers.content(found))


def _unpack_usual(headers: Headers, found: UsualMembers, target: _Target) -> None:
    target.announce(int(found.sizes[found.files].sum()), len(found.names))
    pictures = found.files & np.array([is_picture(name) for name in found.names])
    target.keep_packed(
        list(compress(found.names, pictures)), _tar_rows(found.starts[pictures], found.sizes[pictures])
    )
    for place in np.flatnonzero(found.files & ~pictures):
        name, size = found.names[place], int(found.sizes[place])
        target.write(name, size, headers.usual_content(name, int(found.starts[place]), size))


def _tar_rows(starts: ArrayLike, sizes: ArrayLike) -> NDArray[np.void]:
    rows = np.empty(np.shape(starts), MEMBER)
    rows["start"], rows["packed"], rows["unpacked"] = starts, sizes, sizes
    rows["deflated"], rows["crc"] = False, NO_CHECKSUM
    return rows
