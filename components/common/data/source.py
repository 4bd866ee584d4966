"""Description of raw data: source.json."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.record import Record, Sha256

# The names that `raw_files` gives: what comes from outside must not choose where a file is written.
RawFile = Annotated[
    str, StringConstraints(pattern="^(train|validation|t10k)-(images-idx[34]-ubyte|labels-idx1-(ubyte|int))$")
]

# Batches of extra labelled images lie in the object store as `labelled/DATASET_NAME/*.npz`.
LABELLED = "labelled"
# Part of the training images that becomes validation where the data has no validation part.
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class LabelledBatch:
    """One batch of extra labelled images, and how much of it was used.

    Attributes:
        used: Images added to the training part.
        duplicates: Images left out because the training part has them already.
        in_test: Images left out because the test part has them.
        left_out: Why the whole batch was left out; "" where it was not.
    """

    key: str
    sha256: str
    used: int
    duplicates: int
    in_test: int
    left_out: str = ""


class SourceInfo(Record):
    """Description of a directory of raw data.

    Attributes:
        source: Address that the data came from.
        version: Label of this state of the data.
        files: SHA-256 of each idx file by name; `digest` covers them all.
        counts: Number of images by part, labelled batches included.
        spec: Description of the images.
        form: Form that the data came in, such as "idx".
        notes: What was decided about the data on the way in, one sentence each, such as "the images were turned".
    """

    name: str
    source: str
    version: str
    files: dict[RawFile, Sha256]
    counts: dict[str, int]
    batches: tuple[LabelledBatch, ...]
    digest: str
    spec: ImageSpec = MNIST_SPEC
    form: str = "idx"
    notes: tuple[str, ...] = ()

    FILE: ClassVar[str] = "source.json"


def training_images(counts: Mapping[str, int], fraction: float) -> int:
    """Return the images of the training split, given those of the raw data by part and the fraction that is used."""
    used = math.floor(counts["train"] * fraction)
    return used if "validation" in counts else used - math.ceil(used * VALIDATION_SHARE)
