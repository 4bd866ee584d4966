"""Parts of a data set whose images are one array and whose labels are another."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, MOST_PICTURE_PIXELS, require_within
from components.common.errors import PipelineError
from components.ingest.form import Chunk, Part, rows_of


class ArrayFile(Protocol):
    """An array in a file, whose header is known and whose rows are read in order.

    Attributes:
        name: Name of the array in error messages.
        dtype: Type of the values.
        shape: Shape of the array.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def chunks(self, rows: int) -> Iterator[NDArray[Any]]:
        """Yield the rows as arrays of at most `rows` rows."""

    def array(self) -> NDArray[Any]:
        """Return all rows as one array."""


def array_part(
    images: ArrayFile,
    labels: ArrayFile,
    of_labels: Callable[[NDArray[Any]], NDArray[Any]] = lambda labels: labels,
) -> Part:
    """Return the part whose images and labels are two arrays; only their headers are read yet.

    Args:
        images: N x ....
        labels: N or N x columns.
        of_labels: What to make of the labels as they are read.

    Raises:
        PipelineError: The lengths differ, there are no images, or one image or the labels are larger than the bounds.
    """
    if not images.shape or not images.shape[0]:
        raise PipelineError(f"{images.name} must hold images but holds none: fetch or write it again.")
    if labels.shape[:1] != images.shape[:1]:
        raise PipelineError(
            f"{labels.name}: each image must have a label but there are {images.shape[0]} images in {images.name} "
            f"and {labels.shape[0] if labels.shape else 0} labels: fetch or write both again."
        )
    values = math.prod(images.shape[1:])
    require_within(values, MOST_PICTURE_PIXELS, f"{images.name}: values of one image", "give smaller images")
    image_bytes = values * images.dtype.itemsize
    require_within(
        image_bytes,
        LARGEST_IN_MEMORY,
        f"{images.name}: bytes of one image",
        "write numbers of a smaller type",
    )
    label_bytes = math.prod(labels.shape) * labels.dtype.itemsize
    require_within(
        label_bytes, LARGEST_IN_MEMORY, f"{labels.name}: bytes of labels", "give one label an image"
    )

    def chunks() -> Iterator[Chunk]:
        all_labels = of_labels(labels.array())
        done = 0
        for chunk in images.chunks(rows_of(image_bytes)):
            yield chunk, all_labels[done : done + len(chunk)]
            done += len(chunk)

    return Part(images.name, chunks, labels.name)
