"""Intake of a recognized data set: its parts as raw data, and its description."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_PART, require_within
from components.common.data.digests import image_digests
from components.common.data.picture import resized
from components.common.data.raw_data import (
    PARTS,
    PixelFile,
    PixelWriter,
    has_part,
    open_part,
    raw_files,
    write_labels,
)
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.form import Form, Part
from components.ingest.holdout import held_out
from components.ingest.labels import Labelled, as_labels, resolve_classes
from components.ingest.orientation import Orientation, find_orientation
from components.ingest.pixels import PixelReader

# Images that the orientation is looked for in.
SAMPLE = 4096
# Name of a part's images until all is known about them.
UNTIL_KNOWN = "{}.pixels"


@dataclass(frozen=True)
class Intake:
    """Description of the images that were taken in, and what was decided, one sentence each."""

    spec: ImageSpec
    notes: tuple[str, ...]


def take_in(form: Form, data: DataPlan, directory: Path) -> Intake:
    """Write the parts of a data set as raw data into an existing directory; a few MiB of them are in memory at a time.

    Args:
        form: The data set.
        data: The plan's data section: size, transposition, and the seed of a hold-out.
        directory: Directory to write into.

    Raises:
        PipelineError: The data breaks a rule.
    """
    shapes, labels = {}, {}
    for part in (part for part in PARTS if part in form.parts):
        path = directory / UNTIL_KNOWN.format(part)
        shapes[part], labels[part] = _write_pixels(form.parts[part], path, data.size)
    shape = _one_shape(shapes, form)
    labelled = resolve_classes(labels, form.names, form.uri)
    spec = ImageSpec(*shape, labelled.classes)
    for part in labels:
        _settle(directory, part, labelled, spec)
    notes = [*form.notes, *labelled.notes]
    spec, said = _turn(directory, spec, data.transpose, form)
    notes += said
    if "test" not in form.parts:
        notes.append(_hold_out(directory, spec, data.split_seed))
    return Intake(spec, tuple(notes))


def _write_pixels(part: Part, path: Path, size: int | None) -> tuple[tuple[int, int, int], NDArray[Any]]:
    """Write the images of a part; return their shape and the labels as the form has them."""
    reader, found, labels, writer = PixelReader(part.place), None, [], None
    for given, given_labels in part.chunks():
        images = _fitted(reader.pixels(given), size)
        if writer is None:
            found = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
            writer = PixelWriter(path, found)
        if images.shape[1:] != found:
            raise PipelineError(
                f"{part.place}: images must be of one size but {images.shape[1:]} follows {found}: "
                "set data.size to resize them."
            )
        writer.add(images)
        labels.append(given_labels)
        require_within(writer.size, LARGEST_PART, f"{part.place}: the bytes of all pixels", "give less data")
    if writer is None or found is None or not writer.count:
        raise PipelineError(f"{part.place}: there must be at least one image but there are 0.")
    writer.close()
    all_labels = as_labels(np.concatenate(labels), part.labels or part.place)
    if len(all_labels) != writer.count:
        raise PipelineError(
            f"{part.place}: each image must have a label but there are {writer.count} images and "
            f"{len(all_labels)} labels."
        )
    return found, all_labels


def _fitted(images: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    if size is None or images.shape[1:3] == (size, size):
        return images
    return np.stack([resized(image, size, size, images.shape[3]) for image in images])


def _one_shape(shapes: Mapping[str, tuple[int, int, int]], form: Form) -> tuple[int, int, int]:
    train = shapes["train"]
    for part, shape in shapes.items():
        if shape != train:
            raise PipelineError(
                f"{form.parts[part].place}: images of all parts must be of one size but the {part} part has "
                f"{' x '.join(map(str, shape))} and the training part {' x '.join(map(str, train))}: "
                "resize them, with data.size where only height and width differ."
            )
    return train


def _settle(directory: Path, part: str, labelled: Labelled, spec: ImageSpec) -> None:
    """Give the images their name, and write the labels beside them."""
    images_file, labels_file = raw_files(part, spec)
    (directory / UNTIL_KNOWN.format(part)).rename(directory / images_file)
    write_labels(directory / labels_file, labelled.labels[part], spec)


def _turn(directory: Path, spec: ImageSpec, asked: bool | None, form: Form) -> tuple[ImageSpec, list[str]]:
    """Exchange rows and columns where that is asked for, or the data or its form says so; return the images' spec."""
    found = _orientation(directory, spec)
    position = found.position if found else None
    turned = asked if asked is not None else position == "transposed" if found else form.turned
    notes = []
    if turned:
        for part in (part for part in PARTS if has_part(directory, part, spec)):
            _transpose(directory, part, spec)
        spec = replace(spec, height=spec.width, width=spec.height)
        why = (
            "as data.transpose asks"
            if asked is not None
            else "the digits lie on their side"
            if found
            else "as EMNIST's files need"
        )
        notes.append(
            f"rows and columns of every image were exchanged: {why}; data.transpose decides otherwise"
        )
        found = _orientation(directory, spec)
    if found and found.position != "upright":
        notes.append(f"the digits look {found.position}: turn them in the source, or set data.transpose")
    if found and found.inverted:
        notes.append("the digits are dark on bright, other than MNIST's")
    if found and found.position == "upright" and not found.inverted and spec.shape == MNIST_SPEC.shape:
        spec = replace(spec, pictures="digit")
    return spec, notes


def _orientation(directory: Path, spec: ImageSpec) -> Orientation | None:
    labels = open_part(directory, "train", spec).labels
    rows = np.unique(np.linspace(0, len(labels) - 1, SAMPLE).round().astype(int))
    if spec.channels != 1 or not {"0", "9"} <= set(spec.classes):
        return None
    return find_orientation(PixelFile(directory, "train", spec).take(rows), labels[rows], spec.classes)


def _transpose(directory: Path, part: str, spec: ImageSpec) -> None:
    path = directory / raw_files(part, spec)[0]
    turned = path.with_suffix(".turned")
    with PixelWriter(turned, (spec.width, spec.height, spec.channels)) as writer:
        for images in PixelFile(directory, part, spec).chunks():
            writer.add(images.swapaxes(1, 2))
    turned.replace(path)


def _hold_out(directory: Path, spec: ImageSpec, seed: int) -> str:
    """Split the training part into training and test part; return what to say of it."""
    pixels, labels = PixelFile(directory, "train", spec), open_part(directory, "train", spec).labels
    test = held_out(image_digests(pixels.chunks(), key=str(seed).encode()), labels)
    if test.all() or not test.any():
        raise PipelineError(
            f"the data must have enough images to hold a test part out but has {len(labels)}: add images."
        )
    for part, chosen in (("test", test), ("train", ~test)):
        path = directory / UNTIL_KNOWN.format(part)
        with PixelWriter(path, spec.shape) as writer:
            for images in _chosen(pixels.chunks(), chosen):
                writer.add(images)
    for part, chosen in (("test", test), ("train", ~test)):
        images_file, labels_file = raw_files(part, spec)
        (directory / UNTIL_KNOWN.format(part)).replace(directory / images_file)
        write_labels(directory / labels_file, labels[chosen], spec)
    return f"there is no test part: {int(test.sum())} of {len(labels)} images were held out, by their content"


def _chosen(chunks: Iterator[NDArray[np.uint8]], chosen: NDArray[np.bool_]) -> Iterator[NDArray[np.uint8]]:
    done = 0
    for images in chunks:
        yield images[chosen[done : done + len(images)]]
        done += len(images)
