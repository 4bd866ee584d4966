"""Decoding of many pictures into one file of pixels of one shape, by several processes where there are many."""

import math
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, require_within
from components.common.child_processes import spare_pool, spare_processes
from components.common.data.png import png_shape
from components.ingest.sizes import common_shape, decoded_pictures, picture_shape

# A longer first read would cost more than a second one: small pictures are shorter.
FIRST_READ = 4096
# Starting a process takes as long as decoding about so many pixels.
MANY_PIXELS = 10_000_000
# Pictures of one job.
MOST_TOGETHER = 512
# Jobs that wait for each other process.
WAITING = 3
Result = TypeVar("Result")


class Pictures(Protocol):
    """Files of pictures that one process decodes; this description of them travels to it."""

    @property
    def place(self) -> int:
        """Place of the first among all pictures."""

    def __len__(self) -> int:
        """Return the number of pictures."""

    def name(self, at: int) -> str:
        """Return the name of one of them in error messages."""

    def contents(self, most: int) -> Iterator[bytes]:
        """Yield each file's content, or at least the first `most` bytes of it.

        Raises:
            PipelineError: A file cannot be read.
        """


Jobs = Callable[[], Iterable[Pictures]]


class _OtherShapeError(Exception):
    """A picture has another shape than those before it."""


def take_pictures(
    jobs: Jobs, count: int, sample: NDArray[np.int64], size: int | None, target: Path
) -> tuple[tuple[int, int, int], list[str]]:
    """Write all pictures in one shape, one after the other in the order of their places.

    Where the sample is of one shape that need not be changed, the pictures are read once, as if all were. Else their
    headers are read before.

    Args:
        jobs: Begins to give the pictures, so many at a time as are in memory in each process.
        count: Number of all pictures.
        sample: What `picture_shapes` returns of some of them, at least one.
        size: Value of `data.size`.
        target: File to write: uint8, N x height x width x channels.

    Returns:
        Height, width and channels; and notes of what was changed.

    Raises:
        PipelineError: A picture is damaged, or a file cannot be read.
    """
    many = int(sample[:, :2].prod(axis=1).mean() * count) >= MANY_PIXELS
    target.touch()
    shape, _ = common_shape(sample, size)
    if alike := bool((sample[:, :3] == shape).all()):
        _require_room(count, shape, target)
        shapes = np.concatenate(_results(partial(_write_alike, shape=shape, target=target), jobs(), many))
        alike = bool((shapes[:, :3] == shape).all())
    else:
        shapes = np.concatenate(_results(picture_shapes, jobs(), many))
    shape, notes = common_shape(shapes, size)
    if not alike:
        _require_room(count, shape, target)
        _results(partial(_write, shape=shape, target=target), jobs(), many)
    return shape, notes


def _require_room(count: int, shape: tuple[int, int, int], target: Path) -> None:
    free = shutil.disk_usage(target.parent).free
    require_within(
        count * math.prod(shape), free, f"the bytes of {count} decoded pictures", "make room on the disk"
    )


def picture_shapes(pictures: Pictures) -> NDArray[np.int64]:
    """Return each picture's height, width, channels, and 1 where it can be transparent, N x 4.

    Raises:
        PipelineError: A file cannot be read.
    """
    shapes = np.empty((len(pictures), 4), np.int64)
    others = []
    for at, start in enumerate(pictures.contents(FIRST_READ)):
        if (shape := png_shape(start)) is None:
            others.append(at)
        else:
            shapes[at] = shape
    if others:
        wanted = set(others)
        for at, content in enumerate(pictures.contents(LARGEST_IN_MEMORY)):
            if at in wanted:
                shapes[at] = picture_shape(content, pictures.name(at))
    return shapes


def _write_alike(pictures: Pictures, shape: tuple[int, int, int], target: Path) -> NDArray[np.int64]:
    """Write pictures that all have the shape, and return their shapes; write none where one has another."""
    shapes = np.tile(np.array([*shape, 0], np.int64), (len(pictures), 1))

    def check(at: int, content: bytes) -> None:
        shapes[at] = picture_shape(content, pictures.name(at))
        if tuple(shapes[at, :3]) != shape:
            raise _OtherShapeError

    try:
        _write(pictures, shape, target, check)
    except _OtherShapeError:
        return picture_shapes(pictures)
    return shapes


def _write(
    pictures: Pictures,
    shape: tuple[int, int, int],
    target: Path,
    check: Callable[[int, bytes], None] | None = None,
) -> None:
    images = decoded_pictures(
        pictures.contents(LARGEST_IN_MEMORY), len(pictures), pictures.name, shape, check
    )
    with target.open("r+b") as file:
        file.seek(pictures.place * math.prod(shape))
        file.write(images.data)


def _results(function: Callable[[Pictures], Result], jobs: Iterable[Pictures], many: bool) -> list[Result]:
    """Call a function for each job, in this and other processes where there is enough to do."""
    others = spare_processes() if many else 0
    results: dict[int, Result] = {}
    waiting: deque[tuple[int, Pictures, Future[Result]]] = deque()
    try:
        for number, job in enumerate(jobs):
            while waiting and waiting[0][2].done():
                done, _, future = waiting.popleft()
                results[done] = future.result()
            # This process, which gives the others their work, does what they have no time for.
            if len(waiting) < others * WAITING:
                waiting.append((number, job, spare_pool().submit(function, job)))
            else:
                results[number] = function(job)
        while waiting:
            number, job, future = waiting.pop()
            results[number] = function(job) if future.cancel() else future.result()
    finally:
        for _, _, future in waiting:
            future.cancel()
    return [results[number] for number in sorted(results)]


def start_processes() -> None:
    """Start the other processes, where there is time to until many pictures are known."""
    if spare_processes():
        spare_pool().submit(abs, 0)
