"""A data set in the form that it came in: parts that are read chunk by chunk."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from components.ingest.picture_files import Members

# Images, n x ..., and labels, n or n x columns, as the form holds them.
Chunk = tuple[NDArray[Any], NDArray[Any]]
# Images in one chunk: what is in memory at a time.
CHUNK_BYTES = 8 * 2**20


def rows_of(row_bytes: int) -> int:
    """Return the rows of a chunk, given the bytes of a row."""
    return max(1, CHUNK_BYTES // max(1, row_bytes))


def chunks_of(images: NDArray[Any], labels: NDArray[Any]) -> Iterator[Chunk]:
    """Yield chunks of arrays, which may be memory-mapped."""
    rows = rows_of(math.prod(images.shape[1:]))
    for start in range(0, len(images), rows):
        yield images[start : start + rows], labels[start : start + rows]


@dataclass(frozen=True)
class Place:
    """A file or a directory on this machine, and the address that it came from.

    Attributes:
        path: The file or directory.
        uri: Its address for people, without credentials.
        packed: Pictures that lie in the archive that the place was unpacked from, by their directories.
    """

    path: Path
    uri: str
    packed: Mapping[Path, Members] = field(default_factory=dict, compare=False)

    def child(self, name: str) -> "Place":
        """Return the place of a file or directory below this one, by its relative path."""
        return replace(self, path=self.path / name, uri=f"{self.uri.rstrip('/')}/{name}")


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a data set: the training, validation or test part.

    Attributes:
        place: What to call the part in an error, such as the address of its images.
        chunks: Begins to read, and yields images and labels in order. Images are N x height x width or
            N x height x width x channels of any numbers; labels are numbers or names, one for each image, or one-hot
            rows. `components.ingest.pixels` and `components.ingest.labels` check and convert both.
        labels: What to call the labels in an error; as the part where it is empty.
    """

    place: str
    chunks: Callable[[], Iterator[Chunk]]
    labels: str = ""


@dataclass(frozen=True, eq=False)
class Form:
    """A recognized data set.

    Attributes:
        kind: Name of the form, such as "idx".
        uri: Address of the data set, without credentials.
        parts: By "train", "validation" and "test"; only "train" must be there.
        names: Names of the classes where labels are places in such a list; empty where they are not known.
        turned: Whether this form is known to store images with rows and columns exchanged.
        notes: What was decided while it was recognized, one sentence each.
    """

    kind: str
    uri: str
    parts: Mapping[str, Part]
    names: tuple[str, ...] = ()
    turned: bool = False
    notes: tuple[str, ...] = ()
