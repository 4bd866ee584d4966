"""Raw data: a directory of four idx files, beside its source.json."""

from pathlib import Path

from components.common.data.dataset import Split, checked_split
from components.common.data.idx import read_idx, write_idx

# Images and labels of each part, named as MNIST names them.
RAW_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def write_part(directory: Path, part: str, split: Split) -> None:
    images_file, labels_file = RAW_FILES[part]
    write_idx(directory / images_file, split.images)
    write_idx(directory / labels_file, split.labels)


def read_part(directory: Path, part: str) -> Split:
    images_path, labels_path = (directory / file for file in RAW_FILES[part])
    names = str(images_path), str(labels_path)
    return checked_split(read_idx(images_path, 3, names[0]), read_idx(labels_path, 1, names[1]), names)
