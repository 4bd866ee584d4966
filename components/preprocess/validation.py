"""Checks of the data before training: a report of its properties, and errors for unusable data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import SplitSource, class_counts
from components.common.data.digests import first_places, image_digests
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from components.common.record import Record

MOST_IMBALANCE = 3.0
# Classes that a warning names.
MOST_NAMED = 5


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


class Observed:
    """A split that is looked at while its images are read once.

    Attributes:
        digests: Digest of each image that was read.

    Args:
        split: The split.
    """

    def __init__(self, split: SplitSource) -> None:
        self._split = split
        self._digests: list[NDArray[np.bytes_]] = []
        self.least, self.most, self._sum = 255, 0, 0

    @property
    def labels(self) -> NDArray[Any]:
        """Labels of the split."""
        return self._split.labels

    @property
    def spec(self) -> ImageSpec:
        """Description of the images."""
        return self._split.spec

    @property
    def digests(self) -> NDArray[np.bytes_]:
        """Digest of each image that was read."""
        return np.concatenate(self._digests)

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the images of the split."""
        for images in self._split.chunks():
            self._digests.append(image_digests([images]))
            self.least, self.most = min(self.least, int(images.min())), max(self.most, int(images.max()))
            self._sum += int(images.sum(dtype=np.int64))
            yield images

    def report(self, equal: NDArray[np.intp]) -> SplitReport:
        """Return the properties of the split, all of whose images were read.

        Args:
            equal: A number for each image, the same one for equal images, N.
        """
        counts = class_counts(self.labels, self.spec)
        shape = self.spec.shape[:2] if self.spec.channels == 1 else self.spec.shape
        return SplitReport(
            shape=(len(self.labels), *shape),
            dtype="uint8",
            pixel_min=self.least,
            pixel_max=self.most,
            pixel_mean=round(self._sum / (len(self.labels) * self.spec.pixels), 3),
            class_counts=counts,
            imbalance=round(max(counts) / min(counts), 3) if min(counts) else 0.0,
            duplicates=len(equal) - int(np.count_nonzero(np.bincount(equal))),
        )


def validate(splits: Mapping[str, Observed]) -> ValidationReport:
    """Describe the splits `train`, `validation` and `test`, all of whose images were read.

    Raises:
        PipelineError: All pixels of a split are equal, `train` has no examples of a class, or `test` has those of one
            only, by which no model could be told from one that always gives the same answer.
    """
    digests = [split.digests for split in splits.values()]
    ends = np.cumsum([len(own) for own in digests])
    equal = dict(zip(splits, np.split(first_places(np.concatenate(digests)), ends[:-1]), strict=True))
    reports = {name: split.report(equal[name]) for name, split in splits.items()}
    for name, report in reports.items():
        if report.pixel_min == report.pixel_max:
            raise PipelineError(
                f"images must differ in their pixels but every pixel of the {name} split is {report.pixel_min}: "
                "check the source."
            )
    classes = splits["train"].spec.classes
    if missing := _missing_classes(reports["train"], classes):
        raise PipelineError(
            f"the train split must have examples of all {len(classes)} classes but has none of {missing}: "
            "use more data, or stratify the split."
        )
    if sum(map(bool, reports["test"].class_counts)) == 1:
        only = classes[int(np.argmax(reports["test"].class_counts))]
        raise PipelineError(
            f"the test split must have examples of several classes but all are of {only}: use other test data."
        )
    shared = {
        f"{first}+{second}": int(np.isin(equal[second], equal[first]).sum())
        for first, second in combinations(splits, 2)
    }
    return ValidationReport(
        splits=reports, shared=shared, warnings=tuple(_warnings(reports, shared, classes))
    )


def _warnings(
    reports: Mapping[str, SplitReport], shared: Mapping[str, int], classes: tuple[str, ...]
) -> Iterator[str]:
    for name, report in reports.items():
        if missing := _missing_classes(report, classes):
            yield f"{name} has no examples of class {missing}"
        if report.imbalance > MOST_IMBALANCE:
            yield f"{name} has {report.imbalance:g} times as many examples of one class as of another"
        if report.pixel_max < 128:
            yield f"{name} has no pixel brighter than {report.pixel_max}, where 255 is white"
        if report.duplicates:
            yield f"{name} repeats {report.duplicates} of its images"
    for pair, count in shared.items():
        if count:
            yield f"{pair.replace('+', ' and ')} share {count} images"


def _missing_classes(report: SplitReport, classes: tuple[str, ...]) -> str:
    missing = [name for name, count in zip(classes, report.class_counts, strict=True) if count == 0]
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    return ", ".join(missing[:MOST_NAMED]) + more
