"""Images of a model from files, directories and prefixes of the object store, read by all cores."""

import math
import signal
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from multiprocessing.pool import Pool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, require_within
from components.common.child_processes import child_context
from components.common.cores import cores
from components.common.data.picture import PICTURE_SUFFIXES
from components.common.data.png import PngBatch, png_shape
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from pipelines.models.pictures import Refusal, array_images, prepare_picture, read_picture

ARRAYS = ".npy"
# Pictures that a process reads at a time.
CHUNK = 64
# Values of a picture that is decoded together with others.
SMALL = 2**18

# An image or the reason why there is none, with the path or URI it comes from.
Source = tuple[str, NDArray[np.uint8] | Refusal]


class File(NamedTuple):
    """A file with pictures.

    Attributes:
        name: Path or URI.
        path: Where it lies; an object of a store lies there until the next one.
        content: Its content where that was read already.
    """

    name: str
    path: Path
    content: bytes | None = None


@contextmanager
def picture_readers(paths: Sequence[str]) -> Iterator[Pool | None]:
    """Yield processes that read pictures; None for few files or one core.

    Enter this before a model is loaded: until then they can be forked, and start at once.
    """
    few = len(paths) <= CHUNK and not any(path.startswith("s3://") or Path(path).is_dir() for path in paths)
    if few or cores() == 1:
        yield None
        return
    with child_context().Pool(cores(), _undisturbed) as pool:
        yield pool


def _undisturbed() -> None:
    # Ctrl-C reaches every process of a terminal; this process ends the readers, and needs no word from them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def read_sources(paths: Iterable[str], spec: ImageSpec, pool: Pool | None) -> Iterator[Source]:
    """Yield all images in order; a bounded number of them is in memory.

    Args:
        paths: Files, directories and `s3://` prefixes.
        spec: Description of the images of the model.
        pool: What `picture_readers` yields.

    Raises:
        PipelineError: A path does not exist or holds no pictures. What cannot be read, or is no picture, is yielded
            with the reason.
    """
    files = (file for path in paths for file in _files(path))
    for arrays, group in groupby(files, lambda file: file.name.lower().endswith(ARRAYS)):
        if arrays:
            yield from (source for file in group for source in _from_array(file, spec))
        elif pool is None:
            yield from (source for chunk in _chunks(group) for source in _read_chunk(chunk, spec))
        else:
            yield from _read_by(pool, group, spec)


def _read_by(pool: Pool, files: Iterator[File], spec: ImageSpec) -> Iterator[Source]:
    ahead = 2 * cores()
    waiting = deque(pool.apply_async(_read_chunk, (chunk, spec)) for chunk in islice(_chunks(files), ahead))
    while waiting:
        sources = waiting.popleft().get()
        waiting.extend(pool.apply_async(_read_chunk, (chunk, spec)) for chunk in islice(_chunks(files), 1))
        yield from sources


def _chunks(files: Iterator[File]) -> Iterator[list[File]]:
    while chunk := list(islice(files, CHUNK)):
        yield chunk


def _read_chunk(files: list[File], spec: ImageSpec) -> list[Source]:
    """Read pictures one by one, and small PNG files that are like the first of them together, which is faster."""
    sources: list[Source] = []
    batch: PngBatch | None = None
    waiting = []
    for file in files:
        try:
            content = _content(file)
        except PipelineError as error:
            sources.append((file.name, _refusal(error)))
            continue
        if batch is None and (shape := png_shape(content)) and math.prod(shape[:3]) <= SMALL:
            batch = PngBatch(shape[:3])
        if batch and batch.add(content):
            waiting.append(len(sources))
            sources.append((file.name, Refusal("")))
        else:
            sources.append((file.name, read_picture(content, spec)))
    if batch:
        for at, picture in zip(waiting, batch.images(), strict=True):
            sources[at] = sources[at][0], prepare_picture(picture, spec)
    return sources


def _refusal(error: PipelineError) -> Refusal:
    return Refusal(str(error).removesuffix("."))


def _content(file: File) -> bytes:
    content = _read(file) if file.content is None else file.content
    require_within(len(content), LARGEST_IN_MEMORY, f"{file.name}: its bytes", "make it smaller")
    return content


def _read(file: File) -> bytes:
    """Return the content of a file, or so much of it that it is too large."""
    _require_regular(file)
    try:
        with file.path.open("rb") as opened:
            return opened.read(LARGEST_IN_MEMORY + 1)
    except OSError as error:
        raise _unreadable(file.name, error) from error


def _require_regular(file: File) -> None:
    """Refuse what is no file, such as a pipe, which could be waited for without end."""
    try:
        regular = stat.S_ISREG(file.path.stat().st_mode)
    except OSError as error:
        raise _unreadable(file.name, error) from error
    if not regular:
        raise PipelineError(f"{file.name} must be a regular file but is none: leave it out.")


def _from_array(file: File, spec: ImageSpec) -> Iterator[Source]:
    name = file.name
    try:
        _require_regular(file)
        count, images = array_images(file.path, name, spec)
        for number, image in enumerate(images):
            # An array of the model's size counts as an image of the model.
            converted = image if image.shape == spec.shape else prepare_picture(image, spec)
            yield (f"{name}[{number}]" if count > 1 else name), converted
    except PipelineError as error:
        yield name, _refusal(error)


def _files(path: str) -> Iterator[File]:
    empty = True
    for file in _listed(path):
        empty = False
        yield file
    if empty:
        raise PipelineError(
            f"{path} must be or hold {', '.join(sorted(PICTURE_SUFFIXES))} or {ARRAYS} files but there are none: "
            "give another path."
        )


def _listed(path: str) -> Iterator[File]:
    if path.startswith("s3://"):
        yield from _objects(path)
        return
    given = Path(path)
    try:
        below = sorted(file for file in given.rglob("*") if _readable(file.name)) if given.is_dir() else None
        if below is None:
            given.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if below is not None:
        yield from (File(str(file), file) for file in below)
    elif _readable(path):
        yield File(path, given)


def _unreadable(path: str, error: OSError) -> PipelineError:
    return PipelineError(
        f"{path} must be a file or directory that can be read but is not ({error.strerror}): give another path."
    )


def _objects(uri: str) -> Iterator[File]:
    from components.common.storage.object_store import ObjectStore

    store, prefix = ObjectStore.for_uri(uri)
    with TemporaryDirectory() as scratch:
        target = Path(scratch, "object")
        for key in filter(_readable, store.keys(prefix)):
            if store.download(key, target):
                file = File(store.uri(key), target)
                yield file if key.lower().endswith(ARRAYS) else file._replace(content=_read(file))


def _readable(name: str) -> bool:
    return Path(name).suffix.lower() in {*PICTURE_SUFFIXES, ARRAYS}
