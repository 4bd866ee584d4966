"""Files of pictures: their shapes, and their pixels in one shape, read by several processes where there are many."""

import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, require_within
from components.common.data.png import png_shape
from components.common.errors import PipelineError
from components.ingest.sizes import common_shape, decoded_pictures, picture_shape

# A longer first read would cost more than a second one: small pictures are shorter.
FIRST_READ = 4096
NEXT_READ = 2**20
# Starting a process takes as long as decoding about so many pixels.
MANY_PIXELS = 10_000_000
# Each process takes some 50 MiB.
MOST_PROCESSES = 8
Result = TypeVar("Result")


@dataclass(frozen=True)
class Files:
    """Files of one directory.

    Attributes:
        directory: The directory.
        uri: Its address for people.
        names: Names of the files in it, at least one.
        place: Place of the first picture among those of all directories.
    """

    directory: Path
    uri: str
    names: list[str]
    place: int = 0


class _OtherShapeError(Exception):
    """A picture has another shape than those before it."""


def take_pictures(
    jobs: Sequence[Files], size: int | None, target: Path
) -> tuple[tuple[int, int, int], list[str]]:
    """Write all pictures in one shape, one after the other in the order of their places.

    Where a sample is of one shape that need not be changed, the pictures are read once, as if all were. Else their
    headers are read before.

    Args:
        jobs: The files, so many of a directory as are in memory at a time.
        size: Value of `data.size`.
        target: File to write: uint8, N x height x width x channels.

    Returns:
        Height, width and channels; and notes of what was changed.

    Raises:
        PipelineError: A picture is damaged, or a file cannot be read.
    """
    sample = np.concatenate([picture_shapes(replace(job, names=job.names[:1])) for job in jobs])
    pixels = int(sample[:, :2].prod(axis=1).mean() * sum(len(job.names) for job in jobs))
    target.touch()
    shape, _ = common_shape(sample, size)
    if alike := bool((sample[:, :3] == shape).all()):
        _require_room(jobs, shape, target)
        shapes = np.concatenate(_results(partial(_write_alike, shape=shape, target=target), jobs, pixels))
        alike = bool((shapes[:, :3] == shape).all())
    else:
        shapes = np.concatenate(_results(picture_shapes, jobs, pixels))
    shape, notes = common_shape(shapes, size)
    if not alike:
        _require_room(jobs, shape, target)
        _results(partial(_write, shape=shape, target=target), jobs, pixels)
    return shape, notes


def _require_room(jobs: Sequence[Files], shape: tuple[int, int, int], target: Path) -> None:
    count = jobs[-1].place + len(jobs[-1].names)
    free = shutil.disk_usage(target.parent).free
    require_within(
        count * math.prod(shape), free, f"the bytes of {count} decoded pictures", "make room on the disk"
    )


def picture_shapes(files: Files) -> NDArray[np.int64]:
    """Return each picture's height, width, channels, and 1 where it can be transparent, N x 4.

    Raises:
        PipelineError: A file cannot be read.
    """
    shapes = np.empty((len(files.names), 4), np.int64)
    for at, (name, start) in enumerate(zip(files.names, _contents(files, FIRST_READ), strict=True)):
        shapes[at] = png_shape(start) or _whole_shape(replace(files, names=[name]))
    return shapes


def _write_alike(files: Files, shape: tuple[int, int, int], target: Path) -> NDArray[np.int64]:
    """Write pictures that all have the shape, and return their shapes; write none where one has another."""
    shapes = np.tile(np.array([*shape, 0], np.int64), (len(files.names), 1))

    def check(at: int, content: bytes) -> None:
        shapes[at] = picture_shape(content, f"{files.uri}/{files.names[at]}")
        if tuple(shapes[at, :3]) != shape:
            raise _OtherShapeError

    try:
        _write(files, shape, target, check)
    except _OtherShapeError:
        return picture_shapes(files)
    return shapes


def _write(
    files: Files,
    shape: tuple[int, int, int],
    target: Path,
    check: Callable[[int, bytes], None] | None = None,
) -> None:
    names = [f"{files.uri}/{name}" for name in files.names]
    images = decoded_pictures(_contents(files, LARGEST_IN_MEMORY), names, shape, check)
    with target.open("r+b") as file:
        file.seek(files.place * images[0].size)
        file.write(images.data)


def _results(function: Callable[[Files], Result], jobs: Sequence[Files], pixels: int) -> list[Result]:
    """Call a function for each job, in this and other processes where there are pixels enough to do so."""
    others = min(_processors(), MOST_PROCESSES) - 1
    if not others or pixels < MANY_PIXELS:
        return [function(job) for job in jobs]
    futures = [_pool(others).submit(function, job) for job in jobs]
    own = {}
    try:
        # The others, which start meanwhile, begin with the first.
        for at in reversed(range(len(jobs))):
            if not futures[at].cancel():
                break
            own[at] = function(jobs[at])
        return [own[at] if at in own else future.result() for at, future in enumerate(futures)]
    finally:
        for future in futures:
            future.cancel()


@cache
def _pool(processes: int) -> ProcessPoolExecutor:
    """Return the other processes, which wait for more work until this one ends."""
    # A fork would copy the locks of TensorFlow's threads.
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _contents(files: Files, most: int) -> Iterator[bytes]:
    """Yield each file's content, or the beginning where only a first read is asked for."""
    # Names relative to an open directory are found faster than paths.
    directory = os.open(files.directory, os.O_RDONLY)
    name = ""
    try:
        for name in files.names:
            file = os.open(name, os.O_RDONLY, dir_fd=directory)
            try:
                content = os.read(file, FIRST_READ)
                if most > len(content) == FIRST_READ:
                    content += _rest(file, most, f"{files.uri}/{name}")
            finally:
                os.close(file)
            yield content
    except OSError as error:
        raise PipelineError(
            f"{files.uri}/{name} must be a file that can be read but is not ({error.strerror}): correct it or leave "
            "it out."
        ) from error
    finally:
        os.close(directory)


def _rest(file: int, most: int, uri: str) -> bytes:
    """Return what follows the first read of a file."""
    parts, size = [], FIRST_READ
    while part := os.read(file, NEXT_READ):
        parts.append(part)
        size += len(part)
        require_within(size, most, f"{uri}: the bytes of a picture", "make it smaller")
    return b"".join(parts)


def _whole_shape(file: Files) -> tuple[int, int, int, bool]:
    """Return what `picture_shapes` does of one picture of any kind."""
    return picture_shape(next(_contents(file, LARGEST_IN_MEMORY)), f"{file.uri}/{file.names[0]}")
