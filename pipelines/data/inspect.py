"""Inspection of data as a run would take it: form, images, classes, parts, and what looks suspicious."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.child_processes import beside
from components.common.data.digests import first_places, image_digests
from components.common.data.raw_data import PARTS, PixelFile, has_part, open_part, raw_files
from components.common.data.source import training_images
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from components.common.plan.names import default_model_name
from components.common.plan.network import check_network
from components.common.plan.resolve import Resolved, fitted
from components.common.storage.files import sha256_file
from components.common.storage.object_store import ObjectStore
from components.ingest.intake import take_in
from components.ingest.naming import dataset_name
from components.ingest.sources import open_source
from components.preprocess.split import RARE
from components.preprocess.validation import Observed, validate
from pipelines.data.sheet import draw_sheet

# Classes whose counts are listed.
MOST_LISTED = 30


@dataclass(frozen=True)
class Inspection:
    """What a run would see of the data.

    Attributes:
        form: Name of the form that was recognized.
        source: Address, without credentials.
        name: Name of the data set in a run.
        model: Name of the registered model.
        spec: Description of the images.
        counts: Number of images by part.
        class_counts: Number of images of each class by part.
        notes: What was decided on the way in.
        warnings: What looks suspicious.
        refusal: Why the plan would not train on it; "" where it would.
    """

    form: str
    source: str
    name: str
    model: str
    spec: ImageSpec
    counts: dict[str, int]
    class_counts: dict[str, dict[str, int]]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    refusal: str

    def as_json(self) -> dict[str, Any]:
        """Return the inspection as JSON values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield the inspection as lines of text."""
        spec = self.spec
        kind = "grey" if spec.channels == 1 else "colour"
        digits = ", one handwritten digit each, as MNIST's" if spec.pictures == "digit" else ""
        yield f"form      {self.form}, {self.source}"
        yield f"name      {self.name}, registered model {self.model}"
        yield f"images    {spec.height} x {spec.width}, {kind}{digits}"
        yield f"parts     {', '.join(f'{count:,} {part}' for part, count in self.counts.items())}{self._validation()}"
        yield f"classes   {len(spec.classes)}, training images of each:"
        train = self.class_counts["train"]
        for start in range(0, min(len(train), MOST_LISTED), 5):
            listed = list(train.items())[start : start + 5]
            yield "          " + ", ".join(f"{name} {count:,}" for name, count in listed)
        if len(train) > MOST_LISTED:
            yield f"          and {len(train) - MOST_LISTED} more"
        yield from (f"note      {note}" for note in self.notes)
        yield from (f"warning   {warning}" for warning in self.warnings)
        if self.refusal:
            yield f"refused   {self.refusal}"

    def _validation(self) -> str:
        if "validation" in self.counts:
            return ""
        split_off = self.counts["train"] - training_images(self.counts, 1)
        return f"; {split_off:,} of the training images become validation"


def inspect_data(resolved: Resolved, sheet: Path | None) -> Inspection:
    """Take the data in as a run does, train nothing, and say what it is.

    Args:
        resolved: The plan that a run would have.
        sheet: PNG file to draw examples of each class into; None for no such file.

    Raises:
        PipelineError: The data is refused, as a run would refuse it.
    """
    plan = resolved.plan
    with TemporaryDirectory() as directory, TemporaryDirectory() as scratch:
        raw = Path(directory)
        form = open_source(plan.data, ObjectStore.from_environment(), Path(scratch))
        taken = take_in(form, plan.data, raw)
        spec = taken.spec
        parts = [part for part in PARTS if has_part(raw, part, spec)]
        files = [file for part in parts for file in raw_files(part, spec)]
        summed = {file: beside(sha256_file, raw / file) for file in files}
        # The other process may have started in another directory.
        drawn = beside(draw_sheet, raw, spec, sheet.absolute()) if sheet else None
        others = {part: beside(_observed, raw, part, spec) for part in parts if part != "train"}
        observed = {"train": _observed(raw, "train", spec)}
        observed |= {part: found.result() for part, found in others.items()}
        if drawn:
            drawn.result()
        digests = {file: found.result() for file, found in summed.items()}
        name = dataset_name(plan.data, form.uri, digests)
        constant = {part: _constant(images) for part, images in observed.items()}
        counts = {part: len(images.labels) for part, images in observed.items()}
        note, refusal = _fit(resolved, spec, training_images(counts, plan.data.fraction))
        return Inspection(
            form=form.kind,
            source=form.uri,
            name=name,
            model=plan.registry.model or default_model_name(name),
            spec=spec,
            counts=counts,
            class_counts={part: _named(images.labels, spec) for part, images in observed.items()},
            notes=(*taken.notes, *([note] if note else [])),
            warnings=tuple(_warnings(observed, constant)),
            refusal=refusal,
        )


class _Whole:
    """A whole part of raw data."""

    def __init__(self, raw: Path, part: str, spec: ImageSpec) -> None:
        self._pixels, self.spec = PixelFile(raw, part, spec), spec
        self.labels = open_part(raw, part, spec).labels

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        return self._pixels.chunks()


def _observed(raw: Path, part: str, spec: ImageSpec) -> Observed:
    """Read a part."""
    images = Observed(_Whole(raw, part, spec))
    deque(images.chunks(), maxlen=0)
    return images


def _constant(images: Observed) -> int:
    """Return how many images have one value in all their pixels."""
    even = np.repeat(np.arange(256, dtype=np.uint8), images.spec.pixels).reshape(-1, *images.spec.shape)
    digests = set(image_digests([even]).tolist())
    return sum(digest in digests for digest in images.digests.tolist())


def _named(labels: NDArray[np.integer], spec: ImageSpec) -> dict[str, int]:
    return dict(zip(spec.classes, np.bincount(labels, minlength=len(spec.classes)).tolist(), strict=True))


def _warnings(observed: Mapping[str, Observed], constant: Mapping[str, int]) -> Iterator[str]:
    yield from validate(observed).warnings
    for part, count in constant.items():
        if count:
            yield f"{part} has {count} images of one even colour"
    if contradictions := _contradictions(observed):
        yield f"{contradictions} images occur with different labels"
    train = observed["train"]
    rare = [name for name, count in _named(train.labels, train.spec).items() if count < RARE]
    if rare:
        listed = ", ".join(rare[:5]) + (f" and {len(rare) - 5} more" if len(rare) > 5 else "")
        yield f"fewer than {RARE} training images have {listed}: the split keeps each class's share"


def _contradictions(observed: Mapping[str, Observed]) -> int:
    """Return the number of images, of all parts, that are equal to one with another label."""
    first = first_places(np.concatenate([images.digests for images in observed.values()]))
    labels = np.concatenate([images.labels for images in observed.values()])
    return int((labels != labels[first]).sum())


def _fit(resolved: Resolved, spec: ImageSpec, images: int) -> tuple[str, str]:
    """Return what the plan would change for this data, and why it would refuse it; "" for nothing."""
    try:
        plan, note = fitted(resolved, images)
        check_network(plan.training, spec)
    except PipelineError as error:
        return "", str(error)
    return note, ""
