"""Extra labelled images from the object store, merged into the training part."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_BATCH, LARGEST_BATCHES, MOST_BATCHES, require_within
from components.common.data.dataset import checked_split
from components.common.data.digests import image_digests
from components.common.data.npy import NpyFile, npz_members
from components.common.data.raw_data import (
    PixelFile,
    PixelWriter,
    has_part,
    open_part,
    raw_files,
    write_labels,
)
from components.common.data.source import LABELLED, LabelledBatch
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError, stated
from components.common.storage.files import sha256_file
from components.common.storage.object_store import ObjectStore
from components.ingest.arrays import array_part
from components.ingest.form import Part
from components.ingest.labels import as_labels
from components.ingest.pixels import PixelReader


def merge_labelled(
    store: ObjectStore, dataset_name: str, directory: Path, spec: ImageSpec, scratch: Path, share: float = 1.0
) -> tuple[LabelledBatch, ...]:
    """Append the images of every object `labelled/DATASET_NAME/*.npz` to the training part, in the order of the keys.

    A batch holds `images` (uint8, N x height x width, or N x height x width x channels) and `labels` (N places in the
    list of classes, or N names of classes). An image is left out if it is in another part or in an earlier batch
    already. A batch is left out as a whole, with the reason in its record, if it breaks a rule or a bound, labels an
    image otherwise than where it was seen first, or would make the new images too many: whoever may write to the
    bucket must not be able to stop or to take over every run. One batch is on the disk at a time.

    Args:
        store: The object store with the batches.
        dataset_name: Name of the data set.
        directory: The raw data; its training part is replaced where there are new images.
        spec: Description of the images.
        scratch: Existing directory for a batch and for the new images.
        share: Most new images, as a share of the training part.

    Returns:
        A record of each batch; of the batches beyond the bound on their number, one of the first.
    """
    sizes = store.sizes(f"{LABELLED}/{dataset_name}/")
    keys = [key for key in sorted(sizes) if key.endswith(".npz")]
    if not keys:
        return ()
    with PixelWriter(scratch / raw_files("train", spec)[0], spec.shape) as new:
        merge = _Merge(store, _Known(directory, spec, share), new, spec, scratch / "batch.npz")
        records = [merge.add(key, sizes[key]) for key in keys[:MOST_BATCHES]]
    if merge.labels:
        _append(directory, spec, scratch, merge.labels)
    if len(keys) > MOST_BATCHES:
        reason = (
            f"batches must be at most {MOST_BATCHES:,} but are {len(keys):,}, so it and those after it are not read: "
            "join some."
        )
        records.append(LabelledBatch(keys[MOST_BATCHES], "", 0, 0, 0, reason))
    return tuple(records)


class _Known:
    """The images of the data set and of the batches that were merged, and where each was seen first.

    Attributes:
        largest: Images that a batch may hold: as many as the data set has, and as there may be new ones.
    """

    def __init__(self, directory: Path, spec: ImageSpec, share: float) -> None:
        self._spec = spec
        # An image of several parts counts as one of the first of them: the training part comes last.
        parts = [part for part in ("test", "validation", "train") if has_part(directory, part, spec)]
        labels = [open_part(directory, part, spec).labels for part in parts]
        digests = [image_digests(PixelFile(directory, part, spec).chunks()) for part in parts]
        self._names = [f"the {part}ing part" if part == "train" else f"the {part} part" for part in parts]
        self._starts = [0, *accumulate(map(len, labels))]
        self._held_out = self._starts[-2]
        self._new, self._most = 0, math.floor(share * len(labels[-1]))
        self.largest = self._starts[-1] + self._most
        # In the order of the digests, each once: its place among all images, and its label there.
        self._digests, self._places = np.unique(np.concatenate(digests), return_index=True)
        self._labels = np.concatenate(labels)[self._places].astype(np.int64)

    def merge(
        self, place: str, digests: NDArray[np.bytes_], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], int]:
        """Take in the images of a batch; return which of them are new, and the number that is held out for tests.

        Raises:
            PipelineError: One is labelled otherwise than where it was seen first, or the new ones would be too many.
        """
        own, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
        at = np.searchsorted(self._digests, own)
        near = np.minimum(at, len(self._digests) - 1)
        seen = self._digests[near] == own
        places = np.where(seen, self._places[near], self._starts[-1] + first)
        right = np.where(seen, self._labels[near], labels[first])
        wrong = np.flatnonzero(labels != right[inverse])
        if len(wrong):
            row = int(wrong[0])
            earlier = self._described(int(places[inverse[row]]), int(right[inverse[row]]), place)
            raise PipelineError(
                f"the same image must have one label but image {row} of {place} is labelled "
                f"{self._spec.classes[labels[row]]} and {earlier}: correct {place}."
            )
        fresh = np.flatnonzero(~seen)
        if self._new + len(fresh) > self._most:
            raise PipelineError(
                f"new images must be at most {self._most} but {place} makes them {self._new + len(fresh)}: "
                "raise data.labelled_share, or take the batch away."
            )
        self._new += len(fresh)
        self._digests = np.insert(self._digests, at[fresh], own[fresh])
        self._places = np.insert(self._places, at[fresh], places[fresh])
        self._labels = np.insert(self._labels, at[fresh], right[fresh])
        self._names.append(place)
        self._starts.append(self._starts[-1] + len(labels))
        new = np.zeros(len(labels), np.bool_)
        new[first[fresh]] = True
        return new, int((places < self._held_out)[inverse].sum())

    def _described(self, place: int, label: int, batch: str) -> str:
        number = bisect_right(self._starts, place) - 1
        name = [*self._names, batch][number]
        return f"image {place - self._starts[number]} of {name} is labelled {self._spec.classes[label]}"


class _Merge:
    """Batches, fetched and merged one after another.

    Attributes:
        labels: Of the new images, by batch.

    Args:
        store: Where the batches lie.
        known: The images that are no new ones.
        new: Takes the new ones.
        spec: Description of the images.
        path: File for a batch.
    """

    def __init__(
        self, store: ObjectStore, known: _Known, new: PixelWriter, spec: ImageSpec, path: Path
    ) -> None:
        self._store, self._known, self._new, self._spec, self._path = store, known, new, spec, path
        self._room = LARGEST_BATCHES
        self.labels: list[NDArray[np.int64]] = []

    def add(self, key: str, size: int) -> LabelledBatch:
        """Merge a batch, or leave it out; return its record."""
        place = self._store.uri(key)
        self._path.unlink(missing_ok=True)
        try:
            part, labels = self._fetched(key, place, size)
            digests = image_digests(_images(part, self._spec))
            chosen, in_test = self._known.merge(place, digests, labels)
        except PipelineError as error:
            if stated(error) is not error:  # a full disk or memory says nothing of the batch
                raise
            digest = sha256_file(self._path) if self._path.exists() else ""
            return LabelledBatch(key, digest, 0, 0, 0, str(error))
        used = int(chosen.sum())
        if used:
            done = 0
            for images in _images(part, self._spec):
                self._new.add(images[chosen[done : done + len(images)]])
                done += len(images)
            self.labels.append(labels[chosen])
        return LabelledBatch(key, sha256_file(self._path), used, len(chosen) - used - in_test, in_test)

    def _fetched(self, key: str, place: str, size: int) -> tuple[Part, NDArray[np.int64]]:
        """Fetch a batch; return its images, which are not read yet, and the places of its labels."""
        require_within(size, LARGEST_BATCH, f"{place}: its bytes", "split it")
        self._take_room(place, size)
        if not self._store.download(key, self._path):
            raise PipelineError(f"{place} must exist until it is read but was deleted: run again.")
        held = npz_members(self._path)
        if missing := [name for name in ("images", "labels") if name not in held]:
            raise PipelineError(
                f"{place} must be an npz archive with images and labels but lacks {' and '.join(missing)}: "
                "write it again with both."
            )
        images, labels = (
            NpyFile(self._path, f"{place}: {name}", f"{name}.npy") for name in ("images", "labels")
        )
        part = array_part(images, labels)
        require_within(
            images.shape[0],
            self._known.largest,
            f"{place}: the number of its images",
            "leave out what is known",
        )
        self._take_room(place, images.nbytes + labels.nbytes)
        return part, _places(as_labels(labels.array(), labels.name), self._spec, place)

    def _take_room(self, place: str, size: int) -> None:
        """Count bytes that are read, packed or unpacked, against the bound on those of all batches."""
        require_within(
            size, self._room, f"{place}: its bytes, beside the batches before it,", "take some away"
        )
        self._room -= size


def _images(part: Part, spec: ImageSpec) -> Iterator[NDArray[np.uint8]]:
    reader = PixelReader(part.place)
    for given, _ in part.chunks():
        images = reader.pixels(given)
        labels = np.zeros(len(images), np.uint8)
        yield checked_split(images, labels, spec, (part.place, part.labels)).images


def _places(labels: NDArray[Any], spec: ImageSpec, place: str) -> NDArray[np.int64]:
    """Return labels as places in the list of classes, which they may name."""
    if labels.dtype.kind == "U":
        by_name = {name: number for number, name in enumerate(spec.classes)}
        if unknown := sorted({str(label) for label in labels} - by_name.keys()):
            raise PipelineError(
                f"{place}: labels must be classes of the data set but {unknown[0]!r:.120} is none: "
                "add the class to the data set first."
            )
        return np.array([by_name[str(label)] for label in labels], np.int64)
    last = len(spec.classes) - 1
    outside = np.flatnonzero((labels < 0) | (labels > last))
    if len(outside):
        raise PipelineError(
            f"{place}: labels must be 0 to {last} but number {outside[0]} is {labels[outside[0]]}: correct it."
        )
    return labels.astype(np.int64)


def _append(directory: Path, spec: ImageSpec, scratch: Path, labels: Sequence[NDArray[np.int64]]) -> None:
    """Append the new images, which lie in `scratch` as a training part does, and their labels."""
    images_file, labels_file = raw_files("train", spec)
    larger = directory / f"{images_file}.larger"
    with PixelWriter(larger, spec.shape) as writer:
        for part in (directory, scratch):
            for images in PixelFile(part, "train", spec).chunks():
                writer.add(images)
    known = open_part(directory, "train", spec).labels
    larger.replace(directory / images_file)
    write_labels(directory / labels_file, np.concatenate([known, *labels]), spec)
