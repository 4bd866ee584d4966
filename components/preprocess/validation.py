"""Checks of the data before training: a report of its properties, and errors for unusable data."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations
from typing import ClassVar

import numpy as np

from components.common.data.dataset import Split, class_counts
from components.common.errors import PipelineError
from components.common.record import Record

MOST_IMBALANCE = 3.0


@dataclass(frozen=True)
class SplitReport:
    """Properties of one split.

    Attributes:
        imbalance: Size of the largest class divided by that of the smallest; 0 where a class is missing.
        duplicates: Number of images that are equal, byte for byte, to an earlier image of the split.
    """

    shape: tuple[int, ...]
    dtype: str
    pixel_min: int
    pixel_max: int
    pixel_mean: float
    class_counts: tuple[int, ...]
    imbalance: float
    duplicates: int


class ValidationReport(Record):
    """Properties of the splits, one by one and together.

    Attributes:
        shared: Number of images of the second split that the first split has too, by `first+second`.
        warnings: Unusual properties that do not prevent training, one sentence each.
    """

    FILE: ClassVar[str] = "validation_report.json"

    splits: dict[str, SplitReport]
    shared: dict[str, int]
    warnings: tuple[str, ...]


def validate(splits: Mapping[str, Split]) -> ValidationReport:
    """Describe the splits `train`, `validation` and `test`.

    Raises:
        PipelineError: All pixels of a split are equal, or `train` has no examples of a class.
    """
    hashes = {name: _hashes(split) for name, split in splits.items()}
    reports = {name: _report(split, hashes[name]) for name, split in splits.items()}
    for name, report in reports.items():
        if report.pixel_min == report.pixel_max:
            raise PipelineError(
                f"images must differ in their pixels but every pixel of the {name} split is {report.pixel_min}: "
                "check the source."
            )
    if missing := _missing_classes(reports["train"]):
        raise PipelineError(
            f"the train split must have examples of all ten classes but has none of {missing}: "
            "use more data, or stratify the split."
        )
    shared = {
        f"{first}+{second}": _shared(hashes[first], hashes[second])
        for first, second in combinations(splits, 2)
    }
    return ValidationReport(splits=reports, shared=shared, warnings=tuple(_warnings(reports, shared)))


def _hashes(split: Split) -> list[bytes]:
    return [blake2b(image, digest_size=16).digest() for image in np.ascontiguousarray(split.images)]


def _shared(first: list[bytes], second: list[bytes]) -> int:
    known = set(first)
    return sum(image in known for image in second)


def _report(split: Split, hashes: list[bytes]) -> SplitReport:
    counts = class_counts(split.labels)
    return SplitReport(
        shape=split.images.shape,
        dtype=str(split.images.dtype),
        pixel_min=int(split.images.min()),
        pixel_max=int(split.images.max()),
        pixel_mean=round(float(split.images.mean()), 3),
        class_counts=counts,
        imbalance=round(max(counts) / min(counts), 3) if min(counts) else 0.0,
        duplicates=len(hashes) - len(set(hashes)),
    )


def _warnings(reports: Mapping[str, SplitReport], shared: Mapping[str, int]) -> list[str]:
    found = []
    for name, report in reports.items():
        if missing := _missing_classes(report):
            found.append(f"{name} has no examples of class {missing}")
        if report.imbalance > MOST_IMBALANCE:
            found.append(f"{name} has {report.imbalance:g} times as many examples of one class as of another")
        if report.pixel_max < 128:
            found.append(f"{name} has no pixel brighter than {report.pixel_max}, where 255 is white")
        if report.duplicates:
            found.append(f"{name} repeats {report.duplicates} of its images")
    for pair, count in shared.items():
        if count:
            found.append(f"{pair.replace('+', ' and ')} share {count} images")
    return found


def _missing_classes(report: SplitReport) -> str:
    return ", ".join(str(label) for label, count in enumerate(report.class_counts) if count == 0)
