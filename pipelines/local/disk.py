"""The disk that a home is on: its room and its file system."""

import shutil
from collections.abc import Callable
from pathlib import Path

from components.common.bounds import LEAST_FREE, LITTLE_FREE
from components.common.errors import UnavailableError

MOUNTS = Path("/proc/self/mountinfo")
# Their locks or their renames do not hold for all processes, or they have no extended attributes.
UNSUITABLE = ("9p", "afs", "cifs", "exfat", "fuse", "msdos", "nfs", "smb", "vfat")


def check_room(directory: Path, warn: Callable[[str], None]) -> None:
    """Refuse to begin work that would soon find the disk full.

    Args:
        directory: What the work writes to; it need not exist.
        warn: Called with a line where there is little room.

    Raises:
        UnavailableError: There is too little.
    """
    free = free_bytes(directory)
    if free < LEAST_FREE:
        raise UnavailableError(
            f"the disk of {directory} must have {LEAST_FREE / 2**30:.0f} GiB of room but has {free / 2**30:.1f}: "
            "make room, for example by `mnist-pipeline prune`, or choose another directory with --home."
        )
    if free < LITTLE_FREE:
        warn(f"the disk of {directory} has only {free / 2**30:.1f} GiB of room")


def free_bytes(directory: Path) -> int:
    """Return the room on the disk where a directory is or would be made."""
    return shutil.disk_usage(_existing(directory)).free


def file_system(directory: Path) -> str:
    """Return the kind of the file system where a directory is or would be made, "" where the machine does not say."""
    if not MOUNTS.exists():
        return ""
    path, found = _existing(directory), ("", "")
    for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
        fields, _, rest = line.partition(" - ")
        mounted = fields.split()[4].replace("\\040", " ")
        # Of two at the same place the later one covers the other.
        if path.is_relative_to(mounted) and len(mounted) >= len(found[0]):
            found = mounted, rest.split()[0]
    return found[1]


def _existing(directory: Path) -> Path:
    resolved = directory.resolve()
    return next(path for path in (resolved, *resolved.parents) if path.exists())
