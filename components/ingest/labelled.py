"""Extra labelled images from the object store, merged into the training part."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from components.common.data.dataset import Split, checked_split
from components.common.data.source import LabelledBatch
from components.common.errors import PipelineError
from components.common.storage.files import sha256_file
from components.common.storage.object_store import ObjectStore
from components.ingest.npz import read_npz


class Example(NamedTuple):
    """The label of an image, and the place where the image was seen first."""

    label: int
    place: str
    number: int
    in_test: bool = False

    def __str__(self) -> str:
        return f"image {self.number} of {self.place} is labelled {self.label}"


def merge_labelled(
    store: ObjectStore, dataset_name: str, train: Split, test: Split
) -> tuple[Split, tuple[LabelledBatch, ...]]:
    """Append the images of every object `labelled/DATASET_NAME/*.npz` to `train`, in the order of the keys.

    A batch holds `images` (uint8, N x 28 x 28) and `labels` (N integers from 0 to 9). An image is left out if it is
    in `train`, in `test` or in an earlier batch already.

    Args:
        store: The object store with the batches.
        dataset_name: Name of the data set.
        train: The training part.
        test: The test part; its images are never added to the training part.

    Returns:
        The extended training part, and a record of each batch.

    Raises:
        PipelineError: A batch breaks a rule, or an image has different labels in two places.
    """
    keys = [key for key in store.keys(f"labelled/{dataset_name}/") if key.endswith(".npz")]
    if not keys:
        return train, ()
    known = {
        content: Example(label, "the training part", index) for index, content, label in _examples(train)
    }
    known |= {
        content: Example(label, "the test part", index, True) for index, content, label in _examples(test)
    }
    additions, batches = [], []
    for key in keys:
        addition, batch = _new_examples(store, key, known)
        additions.append(addition)
        batches.append(batch)
    images = np.concatenate([train.images, *(addition.images for addition in additions)])
    labels = np.concatenate([train.labels, *(addition.labels for addition in additions)])
    return Split(images, labels), tuple(batches)


def _new_examples(store: ObjectStore, key: str, known: dict[bytes, Example]) -> tuple[Split, LabelledBatch]:
    """Return the part of a batch that is not in `known`, and add it to `known`."""
    place = store.uri(key)
    batch, sha256 = _download(store, key)
    used, in_test = [], 0
    for index, content, label in _examples(batch):
        example = Example(label, place, index)
        first = known.setdefault(content, example)
        if first.label != label:
            raise PipelineError(
                f"the same image must have one label but {example} and {first}: correct {place}."
            )
        if first is example:
            used.append(index)
        in_test += first.in_test
    duplicates = len(batch.labels) - len(used) - in_test
    return (
        Split(batch.images[used], batch.labels[used]),
        LabelledBatch(key, sha256, len(used), duplicates, in_test),
    )


def _download(store: ObjectStore, key: str) -> tuple[Split, str]:
    name = store.uri(key)
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "batch.npz")
        if not store.download(key, path):
            raise PipelineError(f"{name} must exist until it is read but was deleted: run again.")
        images, labels = read_npz(path, ("images", "labels"), name)
        return checked_split(images, labels, (f"{name}: images", f"{name}: labels")), sha256_file(path)


def _examples(split: Split) -> Iterator[tuple[int, bytes, int]]:
    for index, (image, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
        yield index, image.tobytes(), label
