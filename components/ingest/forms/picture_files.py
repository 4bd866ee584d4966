"""Files of pictures: their sizes, and their pixels in one size, read by several processes where there are many."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, require_within
from components.common.data.png import png_shape
from components.common.errors import PipelineError
from components.ingest.sizes import decoded_pictures, picture_shape

# A longer first read would cost more than a second one: small pictures are shorter.
FIRST_READ = 4096
NEXT_READ = 2**20
# Starting processes takes as long as decoding about so many pixels.
MANY_PIXELS = 20_000_000
# Each process takes some 50 MiB.
MOST_PROCESSES = 8
Result = TypeVar("Result")


@dataclass(frozen=True)
class Files:
    """Files of one directory.

    Attributes:
        directory: The directory.
        uri: Its address for people.
        names: Names of the files in it.
    """

    directory: Path
    uri: str
    names: list[str]


def picture_shapes(files: Files) -> NDArray[np.int64]:
    """Return each picture's height, width, channels, and 1 where it can be transparent, N x 4.

    Raises:
        PipelineError: A file cannot be read.
    """
    shapes = np.empty((len(files.names), 4), np.int64)
    for at, (name, start) in enumerate(zip(files.names, _contents(files, FIRST_READ), strict=True)):
        shapes[at] = png_shape(start) or _whole_shape(replace(files, names=[name]))
    return shapes


def picture_pixels(files: Files, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the pictures, resized and converted where they have another size or number of channels.

    Args:
        files: The files.
        shape: Height, width and channels.

    Returns:
        uint8, N x height x width x channels.

    Raises:
        PipelineError: A file cannot be read.
    """
    names = [f"{files.uri}/{name}" for name in files.names]
    return decoded_pictures(_contents(files, LARGEST_IN_MEMORY), names, shape)


def in_order(
    function: Callable[[Files], Result], jobs: Iterable[Files], pixels: int
) -> Iterator[tuple[Files, Result]]:
    """Call a function for each job, in several processes where there is enough to do; a few results wait at a time.

    Args:
        function: What to call; it and its results are passed between processes.
        jobs: Its arguments.
        pixels: Pixels of all pictures, which say how long this takes.
    """
    processes = min(_processors(), MOST_PROCESSES) if pixels > MANY_PIXELS else 1
    if processes == 1:
        for job in jobs:
            yield job, function(job)
        return
    waiting: deque[tuple[Files, Future[Result]]] = deque()
    pool = _pool(processes)
    for job in jobs:
        waiting.append((job, pool.submit(function, job)))
        if len(waiting) > 2 * processes:
            done, result = waiting.popleft()
            yield done, result.result()
    for done, result in waiting:
        yield done, result.result()


@cache
def _pool(processes: int) -> ProcessPoolExecutor:
    """Return the processes, which wait for the next part's pictures, and end with this process."""
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
