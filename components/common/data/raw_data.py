"""Raw data: a directory of four idx files, described by its source.json."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from components.common.data.dataset import Split, checked_split
from components.common.data.idx import read_idx, write_idx
from components.common.storage.files import read_json

# Images and labels of each part, named as MNIST names them.
RAW_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
SOURCE_FILE = "source.json"


@dataclass(frozen=True)
class LabelledBatch:
    """What became of one batch of extra labelled images.

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


@dataclass(frozen=True)
class SourceInfo:
    """What source.json says of the directory it lies in.

    Attributes:
        source: Address that the data came from.
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


def write_part(directory: Path, part: str, split: Split) -> None:
    images_file, labels_file = RAW_FILES[part]
    write_idx(directory / images_file, split.images)
    write_idx(directory / labels_file, split.labels)


def read_part(directory: Path, part: str) -> Split:
    images_path, labels_path = (directory / file for file in RAW_FILES[part])
    names = str(images_path), str(labels_path)
    return checked_split(read_idx(images_path, 3, names[0]), read_idx(labels_path, 1, names[1]), names)


def write_source(directory: Path, info: SourceInfo) -> None:
    (directory / SOURCE_FILE).write_text(json.dumps(asdict(info), indent=2) + "\n")


def read_source(directory: Path) -> SourceInfo:
    return read_json(directory / SOURCE_FILE, SourceInfo)
