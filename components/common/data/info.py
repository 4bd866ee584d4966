"""Description of prepared data: dataset.json."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import StringConstraints

from components.common.data.source import SourceInfo
from components.common.data.spec import ImageSpec
from components.common.record import Record, Sha256

ArrayFile = Annotated[str, StringConstraints(pattern=r"^(train|validation|test)_(images|labels)\.npy$")]


@dataclass(frozen=True)
class SplitOptions:
    """How the training part was split into training and validation."""

    seed: int
    stratify: bool
    fraction: float


class DatasetInfo(Record):
    """Description of a directory of prepared data, with that of the raw data that it was made of.

    Attributes:
        files: SHA-256 of each array file by name; `digest` covers them all.
        counts: Number of images by split.
        class_counts: Number of images of each class, in the order of `spec.classes`, by split.
        test_digest: Digest of the test split that was prepared beside this data.
    """

    FILE: ClassVar[str] = "dataset.json"

    raw: SourceInfo
    split: SplitOptions
    files: dict[ArrayFile, Sha256]
    counts: dict[str, int]
    class_counts: dict[str, tuple[int, ...]]
    digest: str
    test_digest: str
    format_version: Literal[2] = 2

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.raw.name

    @property
    def spec(self) -> ImageSpec:
        """Description of the images."""
        return self.raw.spec
