"""Files that exist whole or not at all, and the digests that name them."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from components.common.errors import PipelineError

Document = TypeVar("Document")


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def combined_digest(files: Mapping[str, str]) -> str:
    """SHA-256 that names a set of files, given the SHA-256 of each by file name.

    The same as ``sha256sum * | sort | sha256sum`` in a directory that holds just these files.
    """
    lines = sorted(f"{digest}  {name}\n" for name, digest in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@contextmanager
def written_file(target: Path) -> Iterator[Path]:
    """Yield a path beside `target`; a file written there becomes `target` when the block ends well."""
    partial = _beside(target)
    try:
        yield partial
        if partial.exists():
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def written_directory(target: Path) -> Iterator[Path]:
    """Yield an empty directory beside `target` that becomes `target` when the block ends well.

    Raises:
        PipelineError: `target` already holds something.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PipelineError(f"{target} must be a new or an empty directory; remove it or choose another")
    partial = _beside(target)
    partial.mkdir(parents=True)
    try:
        yield partial
        # Replaces an empty directory too.
        os.replace(partial, target)  # noqa: PTH105
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_json(path: Path, kind: type[Document]) -> Document:
    """Read a dataclass from JSON, refusing whatever does not match its annotations."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError as error:
        raise PipelineError(f"{path} does not exist; run the step that writes it first") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "content"
        raise PipelineError(f"{path}: {field}: {first['msg']}; run the step that writes it again") from error


def _beside(target: Path) -> Path:
    # Not tempfile: its mode 0700 would survive the rename and lock out the next container's user.
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
