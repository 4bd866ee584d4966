"""Archives, zip and tar, of data sets in any form."""

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from components.common.bounds import LARGEST_DOWNLOAD, MOST_FILES, require_within
from components.common.errors import PipelineError, first_line
from components.ingest.decoding import start_processes
from components.ingest.form import Place
from components.ingest.picture_files import Member, Packed
from components.ingest.tar_headers import BLOCK, MOST_READ, Headers
from components.ingest.zip_list import PLAIN_METHODS, Entry, is_picture, picture_entries

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# Beginnings of the mode of a regular file, and of a missing one.
REGULAR = {0, stat.S_IFREG}
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
    """The directory that an archive is unpacked into, and the bounds on what is written there.

    Attributes:
        packed: Pictures that stay in the archive, by the directory that they would be in.
    """

    def __init__(self, place: Place, directory: Path) -> None:
        directory.mkdir(parents=True)
        super().__init__(place, directory)
        self._directory = directory
        self.packed: dict[Path, dict[str, Member]] = {}
        self._directories: dict[str, dict[str, Member] | None] = {}

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

    def keep_packed(
        self, name: str, start: int, packed: int, unpacked: int, deflated: bool, checksum: int | None
    ) -> None:
        """Leave a picture in the archive, and make its directory; arguments as the attributes of `Member`."""
        parent, _, short = (name.replace("\\", "/") if "\\" in name else name).rpartition("/")
        if short.startswith("."):
            return
        if parent not in self._directories:
            path = self.path(name)
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._directories[parent] = self.packed.setdefault(path.parent, {}) if path else None
        members = self._directories[parent]
        if members is None:
            return
        if short in members:
            self._refuse_second(name)
        members[short] = Member(short, start, packed, unpacked, deflated, checksum)

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
        """Refuse a member that is a link or a device."""
        raise PipelineError(
            f"{self.place.uri}: members must be files and directories but {name!r} is neither: "
            "pack the files themselves."
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
    path = _inflated(place, opened, target) if opened else place.path
    unpacked = _Target(place, target)
    _unpack_tar(path, unpacked)
    if opened and not unpacked.packed:
        path.unlink()
    return Place(target, place.uri, Packed(path, unpacked.packed))


def _unpacked_zip(place: Place, target: Path) -> Place | None:
    if entries := picture_entries(place.path):
        unpacked = _Target(place, target)
        _require_plain_files(entries, unpacked)
        for entry in entries:
            _keep_packed(entry, unpacked)
        return Place(target, place.uri, Packed(place.path, unpacked.packed))
    with zipfile.ZipFile(place.path) as archive:
        members = archive.infolist()
        if members and all(member.filename.endswith(".npy") for member in members):
            return None
        unpacked = _Target(place, target)
        members = [member for member in members if not member.is_dir()]
        _require_plain_files(members, unpacked)
        plain = all(member.compress_type in PLAIN_METHODS for member in members)
        for member in members:
            if plain and is_picture(member.filename):
                _keep_packed(member, unpacked)
            else:
                with archive.open(member) as content:
                    unpacked.write(member.filename, member.file_size, cast("BinaryIO", content))
    return Place(target, place.uri, Packed(place.path, unpacked.packed))


def _require_plain_files(files: Sequence[zipfile.ZipInfo] | Sequence[Entry], target: _Target) -> None:
    """Refuse what may not be unpacked."""
    target.announce(sum(file.file_size for file in files), len(files))
    for file in files:
        # The type of the file; archives that were not packed on Unix have none.
        if stat.S_IFMT(file.external_attr >> 16) not in REGULAR:
            target.refuse(file.filename)
        if file.flag_bits & 1:
            raise PipelineError(
                f"{target.place.uri} must be readable without a password but {file.filename!r} is encrypted: "
                f"{UNPACK_IT}."
            )


def _keep_packed(member: zipfile.ZipInfo | Entry, target: _Target) -> None:
    deflated = member.compress_type == zipfile.ZIP_DEFLATED
    target.keep_packed(
        member.filename,
        member.header_offset,
        member.compress_size,
        member.file_size,
        deflated,
        member.CRC,
    )


def _inflated(place: Place, opened: Callable[..., Any], target: Path) -> Path:
    """Write the tar file that a compressed file holds, and return its path."""
    path = target.with_name(f"{target.name}.tar")
    path.parent.mkdir(parents=True, exist_ok=True)
    bounds = _Bounds(place, path.parent)
    # The checksum of a compressed file stands at its end.
    with opened(place.path) as file, path.open("xb") as inflated:
        while part := file.read(MOST_READ):
            bounds.announce(len(part), 0)
            inflated.write(part)
    return path


def _is_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _unpack_tar(path: Path, target: _Target) -> None:
    with path.open("rb") as file:
        headers = Headers(file, target.place.uri)
        for member in headers.members():
            if not member.isfile():
                target.announce(0)
                if not member.isdir():
                    target.refuse(member.name)
                continue
            target.announce(member.size)
            name, size = member.name, member.size
            if member.sparse is None and is_picture(name):
                target.keep_packed(name, member.offset_data, size, size, False, None)
            else:
                target.write(name, size, headers.content(member))
