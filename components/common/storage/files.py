"""Files that are written whole or not at all, and their digests."""

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from components.common.errors import PipelineError

# Added to the name of a file that could not be read and was moved out of the way.
DAMAGED = ".damaged"
# What a process that was killed has left is older than any write takes.
STALE_SECONDS = 24 * 60 * 60


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a directory, by relative path."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {path.relative_to(directory).as_posix(): sha256_file(path) for path in files}


def require_digests(directory: Path, files: Mapping[str, str], record: str) -> None:
    """Check files that another step wrote; a file is read once in a process, unless it changes.

    Args:
        directory: Where they lie.
        files: SHA-256 of each by name.
        record: Name of the file that holds the digests.

    Raises:
        PipelineError: A file is missing, or is not as it was written.
    """
    for name, digest in files.items():
        path = inside(directory, name)
        try:
            found = _known_digest(path, path.stat())
        except OSError as error:
            raise PipelineError(
                f"{path} must be a file that can be read but is not ({error.strerror}): "
                "run the step that writes it again."
            ) from error
        if found != digest:
            raise PipelineError(
                f"{path} must have the sha256 {digest} that {record} records but has {found}: "
                "run the step that writes it again."
            )


def _known_digest(path: Path, stat: os.stat_result) -> str:
    return _digest_of_state(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=64)
def _digest_of_state(path: Path, *state: int) -> str:
    del state  # the key of the cache
    return sha256_file(path)


def combined_digest(files: Mapping[str, str]) -> str:
    """Return the SHA-256 of a set of files, given the SHA-256 of each by file name.

    It equals `sha256sum * | sort | sha256sum` in a directory that holds only these files.
    """
    lines = sorted(f"{digest}  {name}\n" for name, digest in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def inside(directory: Path, name: str) -> Path:
    """Return the path of a file in a directory, given its name from outside.

    Raises:
        PipelineError: The name leads out of the directory.
    """
    path = directory / name
    if not name or "\0" in name or not path.resolve().is_relative_to(directory.resolve()):
        raise PipelineError(
            f"the name of a file must lead into its directory but is {name!r}: do not trust where it came from."
        )
    return path


@contextmanager
def written_file(target: Path) -> Iterator[Path]:
    """Yield a path beside `target`; a file written there becomes `target` when the block ends well.

    The file is on the disk before it has its name, so a machine that loses power keeps the old file or the new one.
    """
    partial = _beside(target)
    try:
        yield partial
        if partial.exists():
            _sync(partial)
            partial.replace(target)
            _sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def written_directory(target: Path, *, on_disk: bool = True) -> Iterator[Path]:
    """Yield an empty directory beside `target` that becomes `target` when the block ends well.

    Args:
        target: Directory to make.
        on_disk: Whether all its files are on the disk before it has its name. Without this a machine that stops may
            leave damaged files under it: only for files whose digests the reader checks.

    Raises:
        PipelineError: `target` already holds something.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PipelineError(
            f"{target} must be a new or an empty directory but is not: remove it or choose another."
        )
    partial = _beside(target)
    partial.mkdir(parents=True)
    try:
        yield partial
        for parent, _, names in os.walk(partial) if on_disk else ():
            for name in names:
                _sync(Path(parent, name))
            _sync(Path(parent))
        # Replaces an empty directory too.
        os.replace(partial, target)  # noqa: PTH105
        _sync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sweep_partial(directory: Path) -> None:
    """Remove from a directory what killed processes have left half written there, once it is a day old."""
    for partial in directory.glob(".*.partial"):
        with suppress(FileNotFoundError):  # another process may sweep too
            if time.time() - partial.lstat().st_mtime > STALE_SECONDS:
                delete_path(partial)


def delete_path(path: Path) -> None:
    """Remove a file or a directory with all that is in it, where there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a directory's list of names, is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _beside(target: Path) -> Path:
    # Without tempfile: its mode 0700 would stay after the rename, and the next container's user could not read.
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
