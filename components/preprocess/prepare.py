"""Preparation of raw data as the splits that later steps read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import CHUNK_BYTES, Split, write_splits
from components.common.data.info import DatasetInfo, SplitOptions
from components.common.data.raw_data import PARTS, PixelFile, checked_source, has_part, open_part
from components.common.data.spec import ImageSpec
from components.common.narration import say
from components.common.plan.run import DataPlan
from components.common.storage.files import written_directory
from components.preprocess.samples import SAMPLES, draw_samples
from components.preprocess.split import Rows, split_options, split_rows, used_rows
from components.preprocess.validation import Observed, ValidationReport, validate

SAMPLES_FILE = "samples.png"


@dataclass(frozen=True)
class PreparedData:
    """Descriptions of both directories, and the findings on the data."""

    development: DatasetInfo
    test: DatasetInfo
    report: ValidationReport


@dataclass(frozen=True, eq=False)
class PartRows:
    """Some rows of a part of the raw data, in any order.

    Attributes:
        labels: Labels of these rows.
    """

    pixels: PixelFile
    rows: Rows
    labels: NDArray[Any]
    spec: ImageSpec

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the images of the rows in their order, some MiB at a time."""
        size = max(1, CHUNK_BYTES // self.spec.pixels)
        for start in range(0, len(self.rows), size):
            yield self.pixels.take(self.rows[start : start + size])


def prepare_splits(raw: Path, plan: DataPlan, *, development: Path, test: Path) -> PreparedData:
    """Split the raw data, check it, and write `development` and `test`; a few MiB of it are in memory at a time.

    A validation part of the data's own is used as it is. Besides the training and the validation split, `development`
    gets the report and a figure of samples.

    Args:
        raw: Directory of raw data.
        plan: How to split it.
        development: New or empty directory for training and validation split.
        test: New or empty directory for the test split.

    Raises:
        PipelineError: The data is not what its record says, cannot be split, or is not fit to train on.
    """
    source = checked_source(raw)
    spec = source.spec
    pixels = {part: PixelFile(raw, part, spec) for part in PARTS if has_part(raw, part, spec)}
    labels = {part: open_part(raw, part, spec).labels for part in pixels}
    options, rows = _planned(pixels, labels, spec, plan)
    splits = {name: Observed(part) for name, part in rows.items()}
    tests = {"test": splits.pop("test")}
    with written_directory(test) as test_directory, written_directory(development) as directory:
        test_info = write_splits(test_directory, tests, raw=source, split=options)
        development_info = write_splits(
            directory, splits, raw=source, split=options, test_digest=test_info.digest
        )
        report = validate(splits | tests)
        report.save(directory)
        first = np.arange(min(SAMPLES, len(labels["train"])))
        draw_samples(
            Split(pixels["train"].take(first), labels["train"][first], spec), directory / SAMPLES_FILE
        )
    for warning in report.warnings:
        say("preprocess", f"warning: {warning}")
    counts = development_info.counts | test_info.counts
    say("preprocess", ", ".join(f"{count} {name}" for name, count in counts.items()))
    return PreparedData(development_info, test_info, report)


def _planned(
    pixels: Mapping[str, PixelFile], labels: Mapping[str, NDArray[Any]], spec: ImageSpec, plan: DataPlan
) -> tuple[SplitOptions, dict[str, PartRows]]:
    """Return how the data is split, and the rows of train, validation and test."""
    options = split_options(labels["train"], plan)
    used = used_rows(labels["train"], spec, options)
    rows = {"train": ("train", used)}
    if "validation" in pixels:
        rows["validation"] = ("validation", np.arange(len(labels["validation"])))
    else:
        train, validation = split_rows(used, labels["train"], spec, options)
        rows = {"train": ("train", train), "validation": ("train", validation)}
    rows["test"] = ("test", np.arange(len(labels["test"])))
    return options, {
        split: PartRows(pixels[part], chosen, labels[part][chosen], spec)
        for split, (part, chosen) in rows.items()
    }
