"""Archives, zip and tar, of data sets in any form."""

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from components.common.bounds import LARGEST_DOWNLOAD, MOST_FILES, require_within
from components.common.data.picture import PICTURE_SUFFIXES
from components.common.errors import PipelineError, first_line
from components.ingest.decoding import start_processes
from components.ingest.form import Place
from components.ingest.picture_files import Member, Packed

ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
# Of the compressions that a zip may have, the usual ones.
PLAIN_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# Of an archive whose list of members takes as long to read as processes take to start.
MANY_BYTES = 16 * 2**20
# Beginning of a compressed file, and what opens it.
COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
BLOCK = 512
# What is read at a time, and the longest header of a tar member, such as one that holds a long name.
MOST_READ = 2**20
UNPACK_IT = "unpack it, and give the directory"


class _Bounded:
    """A file that reads a bounded number of bytes at a time; tarfile would read a header of any announced length.

    Attributes:
        last: What was read last.
    """

    def __init__(self, file: BinaryIO, place: Place) -> None:
        self._file = file
        self._place = place
        self.last = b""

    def read(self, size: int) -> bytes:
        require_within(size, MOST_READ, f"{self._place.uri}: the bytes of a member's header", UNPACK_IT)
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class _Target:
    """The directory that an archive is unpacked into, and the bounds on what is written there.

    Attributes:
        packed: Pictures that stay in the archive, by the directory that they would be in.
    """

    def __init__(self, place: Place, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._place = place
        self._directory = directory
        self._free = shutil.disk_usage(directory).free
        self._bytes = 0
        self._members = 0
        self.packed: dict[Path, dict[str, Member]] = {}
        self._directories: dict[str, dict[str, Member] | None] = {}

    def announce(self, size: int, members: int = 1) -> None:
        """Count members and the bytes that they say they have, before any of them is inflated."""
        self._bytes += size
        self._members += members
        uri = self._place.uri
        require_within(self._members, MOST_FILES, f"{uri}: the number of files", "give a part of them")
        require_within(self._bytes, LARGEST_DOWNLOAD, f"{uri}: the unpacked bytes", "give a part of them")
        require_within(self._bytes, self._free, f"{uri}: the unpacked bytes", "make room on the disk")

    def path(self, name: str) -> Path | None:
        """Return where to write a member; None for one that is hidden."""
        relative = PurePosixPath(name.replace("\\", "/"))
        if relative.is_absolute() or ".." in relative.parts:
            raise PipelineError(
                f"{self._place.uri}: members must lie in its own directory but one is {name!r}: {UNPACK_IT}."
            )
        if any(part.startswith(".") or part == "__MACOSX" for part in relative.parts) or not relative.parts:
            return None
        return self._directory / relative

    def keep_packed(self, name: str, info: zipfile.ZipInfo) -> None:
        """Leave a picture in the archive, and make its directory."""
        parent, _, short = name.replace("\\", "/").rpartition("/")
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
        deflated = info.compress_type == zipfile.ZIP_DEFLATED
        members[short] = Member(
            short, info.header_offset, info.compress_size, info.file_size, deflated, info.CRC
        )

    def _refuse_second(self, name: str) -> None:
        raise PipelineError(
            f"{self._place.uri}: members must have names of their own but {name!r} occurs twice: {UNPACK_IT}."
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
            f"{self._place.uri}: members must be files and directories but {name!r} is neither: "
            "pack the files themselves."
        )


def unpack(place: Place, target: Path) -> Place | None:
    """Unpack an archive into a new directory; hidden files are left out, and a zip's pictures stay in it.

    Archives are known by their content: zip, and tar as it is or compressed by gzip, bzip2 or xz.

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
    if start.startswith(ZIP_STARTS):
        if place.path.stat().st_size > MANY_BYTES:
            start_processes()
        with zipfile.ZipFile(place.path) as archive:
            members = archive.infolist()
            if members and all(member.filename.endswith(".npy") for member in members):
                return None
            unpacked = _Target(place, target)
            _unpack_zip(archive, unpacked, place)
        return Place(target, place.uri, Packed(place.path, unpacked.packed))
    if file_ := _opened_tar(place.path, start):
        with file_:
            _unpack_tar(file_, _Target(place, target), place)
        return Place(target, place.uri)
    return None


def _unpack_zip(archive: zipfile.ZipFile, target: _Target, place: Place) -> None:
    members = [member for member in archive.infolist() if not member.is_dir()]
    target.announce(sum(member.file_size for member in members), len(members))
    for member in members:
        # Archives that were not packed on Unix have no such bits.
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in {0, stat.S_IFREG}:
            target.refuse(member.filename)
        if member.flag_bits & 1:
            raise PipelineError(
                f"{place.uri} must be readable without a password but {member.filename!r} is encrypted: {UNPACK_IT}."
            )
    plain = all(member.compress_type in PLAIN_METHODS for member in members)
    for member in members:
        name = member.filename
        if plain and name[name.rfind(".") :].lower() in PICTURE_SUFFIXES:
            target.keep_packed(name, member)
            continue
        with archive.open(member) as content:
            target.write(member.filename, member.file_size, cast("BinaryIO", content))


def _opened_tar(path: Path, start: bytes) -> BinaryIO | None:
    """Open a tar file, inflated on the way; return None for a file that is none, such as one compressed idx file."""
    for magic, opened in COMPRESSED.items():
        if start.startswith(magic):
            with opened(path) as file:
                return cast("BinaryIO", opened(path)) if _is_tar(file.read(BLOCK)) else None
    return path.open("rb") if _is_tar(start) else None


def _is_tar(start: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _unpack_tar(file: BinaryIO, target: _Target, place: Place) -> None:
    reader = _Bounded(file, place)
    with tarfile.open(fileobj=cast("BinaryIO", reader), mode="r:") as archive:
        for member in _members(archive):
            target.announce(member.size if member.isfile() else 0)
            content = archive.extractfile(member) if member.isfile() else None
            if content:
                target.write(member.name, member.size, cast("BinaryIO", content))
            elif not member.isdir():
                target.refuse(member.name)
        # tarfile takes a damaged header, or a missing one, for the end.
        if reader.last != bytes(BLOCK):
            raise tarfile.ReadError(f"no header at byte {archive.offset}")
    # The checksum of a compressed file stands at its end.
    while rest := reader.read(MOST_READ):
        target.announce(len(rest), 0)


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while member := archive.next():
        yield member
        # Else the descriptions of all members stay in memory.
        archive.members.clear()  # type: ignore[attr-defined]
