"""idx files, as MNIST, Fashion-MNIST, KMNIST, EMNIST and QMNIST are published."""

from collections.abc import Callable, Iterator
from pathlib import Path

from components.common.data.idx import IdxFile
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.form import Chunk, Form, Part, Place, rows_of

# Files of each part: beginnings of their names without the data set's prefix.
PARTS = {"train": "train", "test": "t10k"}


def recognize(place: Place, data: DataPlan, scratch: Path) -> Form | None:
    """Recognize a directory with MNIST's four files, plain or gzip-compressed."""
    del data, scratch
    if not place.path.is_dir():
        return None
    found = {}
    for part, start in PARTS.items():
        images = _spelled(place, f"{start}-images-idx3-ubyte")
        labels = _spelled(place, f"{start}-labels-idx1-ubyte")
        if images and labels:
            found[part] = idx_part(images, labels)
    if not found:
        return None
    if "train" not in found:
        raise PipelineError(
            f"{place.uri} must hold the training part too but holds only the test part: add it."
        )
    return Form("idx", place.uri, found)


def idx_part(images: Place, labels: Place) -> Part:
    """Return the part in two idx files."""
    return Part(images.uri, _chunks(images, labels))


def _chunks(images: Place, labels: Place) -> Callable[[], Iterator[Chunk]]:
    def chunks() -> Iterator[Chunk]:
        pixels, all_labels = IdxFile(images.path, images.uri), IdxFile(labels.path, labels.uri).array()
        if len(all_labels) != len(pixels):
            raise PipelineError(
                f"{labels.uri}: each image must have a label but there are {len(pixels)} images in "
                f"{images.uri} and {len(all_labels)} labels."
            )
        done = 0
        size = 1
        for length in pixels.shape[1:]:
            size *= length
        for chunk in pixels.chunks(rows_of(size * pixels.dtype.itemsize)):
            yield chunk, all_labels[done : done + len(chunk)]
            done += len(chunk)

    return chunks


def _spelled(place: Place, file: str) -> Place | None:
    for spelling in (file, file.replace("-idx", ".idx")):
        for name in (f"{spelling}.gz", spelling):
            if (place.path / name).is_file():
                return place.child(name)
    return None
