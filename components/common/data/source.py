"""Description of raw data: source.json."""

from dataclasses import dataclass
from typing import ClassVar

from components.common.record import Record


@dataclass(frozen=True)
class LabelledBatch:
    """One batch of extra labelled images, and how much of it was used.

    Attributes:
        used: Images added to the training part.
        duplicates: Images left out because the training part has them already.
        in_test: Images left out because the test part has them.
    """

    key: str
    sha256: str
    used: int
    duplicates: int
    in_test: int


class SourceInfo(Record):
    """Description of a directory of raw data.

    Attributes:
        source: Address that the data came from.
        version: Label of this state of the data.
        files: SHA-256 of each idx file by name; `digest` covers them all.
        counts: Number of images by part, labelled batches included.
    """

    name: str
    source: str
    version: str
    files: dict[str, str]
    counts: dict[str, int]
    batches: tuple[LabelledBatch, ...]
    digest: str

    FILE: ClassVar[str] = "source.json"
