"""Extra labelled images from the object store, merged into the training part."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import checked_split
from components.common.data.digests import first_places, image_digests
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
from components.common.errors import PipelineError
from components.common.storage.files import sha256_file
from components.common.storage.object_store import ObjectStore
from components.ingest.form import rows_of
from components.ingest.labels import as_labels
from components.ingest.pixels import PixelReader


@dataclass(frozen=True, eq=False)
class _Batch:
    """A batch of labelled images on this machine."""

    key: str
    place: str
    path: Path
    labels: NDArray[np.int64]
    digests: NDArray[np.bytes_]


def merge_labelled(
    store: ObjectStore, dataset_name: str, directory: Path, spec: ImageSpec, scratch: Path, share: float = 1.0
) -> tuple[LabelledBatch, ...]:
    """Append the images of every object `labelled/DATASET_NAME/*.npz` to the training part, in the order of the keys.

    A batch holds `images` (uint8, N x height x width, or N x height x width x channels) and `labels` (N places in the
    list of classes, or N names of classes). An image is left out if it is in another part or in an earlier batch
    already. A batch is left out as a whole, with the reason in its record, if it breaks a rule, labels an image
    otherwise than where it was seen first, or would make the new images too many: whoever may write to the bucket
    must not be able to stop or to take over every run.

    Args:
        store: The object store with the batches.
        dataset_name: Name of the data set.
        directory: The raw data; its training part is replaced where there are new images.
        spec: Description of the images.
        scratch: Existing directory for the batches.
        share: Most new images, as a share of the training part.

    Returns:
        A record of each batch.
    """
    keys = [key for key in store.keys(f"{LABELLED}/{dataset_name}/") if key.endswith(".npz")]
    if not keys:
        return ()
    batches, left_out = [], {}
    for number, key in enumerate(keys):
        try:
            batches.append(_fetch(store, key, spec, scratch / f"{number}.npz"))
        except PipelineError as error:
            left_out[key] = str(error)
    # An image of several parts counts as one of the first of them: the training part comes last.
    parts = [part for part in ("test", "validation", "train") if has_part(directory, part, spec)]
    known = [open_part(directory, part, spec).labels for part in parts]
    held = [image_digests(PixelFile(directory, part, spec).chunks()) for part in parts]
    most = math.floor(share * len(known[-1]))
    merge = _Merge(batches, parts, known, held, spec)
    while reason := merge.reason_against(most):
        batch = merge.batches[reason[0]]
        left_out[batch.key] = reason[1]
        merge = _Merge([kept for kept in merge.batches if kept is not batch], parts, known, held, spec)
    records = {record.key: record for record in merge.records()}
    if any(record.used for record in records.values()):
        _append(directory, spec, known[-1], merge.batches, merge.chosen)
    files = {key: scratch / f"{number}.npz" for number, key in enumerate(keys)}
    return tuple(
        records.get(key)
        or LabelledBatch(key, sha256_file(files[key]) if files[key].exists() else "", 0, 0, 0, left_out[key])
        for key in keys
    )


class _Merge:
    """Which images of some batches are new.

    Attributes:
        chosen: For each batch, which of its images are new.
    """

    def __init__(
        self,
        batches: Sequence[_Batch],
        parts: Sequence[str],
        known: Sequence[NDArray[np.integer]],
        held: Sequence[NDArray[np.bytes_]],
        spec: ImageSpec,
    ) -> None:
        self.batches, self._spec = batches, spec
        self._names = [f"the {part}ing part" if part == "train" else f"the {part} part" for part in parts]
        self._names += [batch.place for batch in batches]
        self._parts = len(parts)
        self._labels = np.concatenate([*known, *(batch.labels for batch in batches)])
        self._first = first_places(np.concatenate([*held, *(batch.digests for batch in batches)]))
        self._starts = np.cumsum([0, *map(len, known), *(len(batch.labels) for batch in batches)])
        self.chosen = [self._first[places] == places for places in self._places()]

    def _places(self) -> list[NDArray[np.integer]]:
        bounds = self._starts[self._parts :].tolist()
        return [np.arange(start, end) for start, end in pairwise(bounds)]

    def reason_against(self, most: int) -> tuple[int, str] | None:
        """Return the number of the first batch that must be left out, and the reason; None where none must.

        Args:
            most: New images that there may be.
        """
        own = self._starts[self._parts]
        wrong = own + np.flatnonzero(self._labels[own:] != self._labels[self._first[own:]])
        if len(wrong):
            second = int(wrong[0])
            return self._number(second) - self._parts, (
                f"the same image must have one label but {self._described(second)} and "
                f"{self._described(int(self._first[second]))}: correct {self._names[self._number(second)]}."
            )
        new = np.cumsum([chosen.sum() for chosen in self.chosen])
        if not len(new) or new[-1] <= most:
            return None
        number = int(np.argmax(new > most))
        return number, (
            f"new images must be at most {most} but {self._names[self._parts + number]} makes them {new[number]}: "
            "raise data.labelled_share, or take the batch away."
        )

    def records(self) -> list[LabelledBatch]:
        """Return a record of each batch."""
        held_out = self._starts[self._parts - 1]
        records = []
        for batch, new, places in zip(self.batches, self.chosen, self._places(), strict=True):
            of_test = self._first[places] < held_out
            counts = int(new.sum()), int((~new & ~of_test).sum()), int(of_test.sum())
            records.append(LabelledBatch(batch.key, sha256_file(batch.path), *counts))
        return records

    def _number(self, place: int) -> int:
        return int(np.searchsorted(self._starts, place, side="right")) - 1

    def _described(self, place: int) -> str:
        number = self._number(place)
        label = self._spec.classes[self._labels[place]]
        return f"image {place - self._starts[number]} of {self._names[number]} is labelled {label}"


def _fetch(store: ObjectStore, key: str, spec: ImageSpec, target: Path) -> _Batch:
    place = store.uri(key)
    if not store.download(key, target):
        raise PipelineError(f"{place} must exist until it is read but was deleted: run again.")
    held = npz_members(target)
    if missing := [name for name in ("images", "labels") if name not in held]:
        raise PipelineError(
            f"{place} must be an npz archive with images and labels but lacks {' and '.join(missing)}: "
            "write it again with both."
        )
    given = NpyFile(target, f"{place}: labels", "labels.npy").array()
    labels = _places(as_labels(given, f"{place}: labels"), spec, place)
    digests = image_digests(_images(target, place, spec))
    if len(digests) != len(labels):
        raise PipelineError(
            f"{place}: each image must have a label but there are {len(digests)} images and {len(labels)} labels: "
            "correct it."
        )
    return _Batch(key, place, target, labels, digests)


def _images(path: Path, place: str, spec: ImageSpec) -> Iterator[NDArray[np.uint8]]:
    reader = PixelReader(f"{place}: images")
    for given in NpyFile(path, reader.place, "images.npy").chunks(rows_of(spec.pixels)):
        images = reader.pixels(given)
        yield checked_split(
            images, np.zeros(len(images), np.uint8), spec, (f"{place}: images", f"{place}: labels")
        ).images


def _places(labels: NDArray[Any], spec: ImageSpec, place: str) -> NDArray[np.int64]:
    """Return labels as places in the list of classes, which they may name."""
    if labels.dtype.kind == "U":
        by_name = {name: number for number, name in enumerate(spec.classes)}
        if unknown := sorted({str(label) for label in labels} - by_name.keys()):
            raise PipelineError(
                f"{place}: labels must be classes of the data set but {unknown[0]!r} is none: "
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


def _append(
    directory: Path,
    spec: ImageSpec,
    labels: NDArray[np.integer],
    batches: Sequence[_Batch],
    chosen: Sequence[NDArray[np.bool_]],
) -> None:
    images_file, labels_file = raw_files("train", spec)
    larger = directory / f"{images_file}.larger"
    with PixelWriter(larger, spec.shape) as writer:
        for images in PixelFile(directory, "train", spec).chunks():
            writer.add(images)
        for batch, new in zip(batches, chosen, strict=True):
            done = 0
            for images in _images(batch.path, batch.place, spec):
                writer.add(images[new[done : done + len(images)]])
                done += len(images)
    larger.replace(directory / images_file)
    added = [batch.labels[new] for batch, new in zip(batches, chosen, strict=True)]
    write_labels(directory / labels_file, np.concatenate([labels, *added]), spec)
