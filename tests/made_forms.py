"""Made sets as files, each form written by the package that people write it with."""

import gzip
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.made_sets import MadeSet

if TYPE_CHECKING:
    from datasets import DatasetDict


def write_emnist(data: MadeSet, directory: Path) -> Path:
    """Write the files of EMNIST's letters: rows and columns exchanged, labels from 1, compressed by gzip."""
    directory.mkdir()
    for part, (images, labels) in data.parts.items():
        turned = np.ascontiguousarray(images.swapaxes(1, 2))
        header = struct.pack(">HBB3I", 0, 8, 3, *turned.shape)
        named = directory / f"emnist-letters-{part}-images-idx3-ubyte.gz"
        named.write_bytes(gzip.compress(header + turned.tobytes(), 1))
        content = struct.pack(">HBBI", 0, 8, 1, len(labels)) + (labels + 1).astype(np.uint8).tobytes()
        named.with_name(named.name.replace("images-idx3", "labels-idx1")).write_bytes(
            gzip.compress(content, 1)
        )
    return directory


def write_folders(data: MadeSet, directory: Path) -> Path:
    """Write PNG files in a directory for each part, and in it one for each class."""
    for part, (images, labels) in data.parts.items():
        for name in data.classes:
            (directory / part / name).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = directory / part / data.classes[label] / f"{number:05}.png"
            Image.fromarray(image).save(path, compress_level=1)
    return directory


def write_zip(data: MadeSet, path: Path) -> Path:
    """Write a zip of JPEG files in a directory for each class, without parts."""
    with zipfile.ZipFile(path, "w") as archive:
        for part, (images, labels) in data.parts.items():
            for number, (image, label) in enumerate(zip(images, labels, strict=True)):
                with archive.open(f"{data.classes[label]}/{part}-{number:05}.jpg", "w") as file:
                    Image.fromarray(image).save(file, "JPEG", quality=90)
    return path


def write_medmnist(data: MadeSet, path: Path) -> Path:
    """Write the six arrays of MedMNIST; every sixth training image is one of validation."""
    validation = np.arange(len(data.train)) % 6 == 0
    labels = data.train_labels.astype(np.uint8)[:, None]
    np.savez_compressed(
        path,
        train_images=data.train[~validation],
        train_labels=labels[~validation],
        val_images=data.train[validation],
        val_labels=labels[validation],
        test_images=data.test,
        test_labels=data.test_labels.astype(np.uint8)[:, None],
    )
    return path


def write_keras(data: MadeSet, path: Path) -> Path:
    """Write the arrays of Keras's mnist.npz, and the names of the classes."""
    np.savez(
        path,
        x_train=data.train,
        y_train=data.train_labels,
        x_test=data.test,
        y_test=data.test_labels,
        class_names=np.array(data.classes),
    )
    return path


def hugging_face(data: MadeSet) -> "DatasetDict":
    """Return the set as one of Hugging Face's datasets."""
    from datasets import ClassLabel, Dataset, DatasetDict, Features
    from datasets import Image as Picture

    features = Features({"image": Picture(), "label": ClassLabel(names=list(data.classes))})
    return DatasetDict(
        {
            part: Dataset.from_dict(
                {"image": [Image.fromarray(image) for image in images], "label": labels.tolist()},
                features=features,
            )
            for part, (images, labels) in data.parts.items()
        }
    )


def write_parquet(data: MadeSet, directory: Path) -> Path:
    """Write a parquet file for each part, as a repository of Hugging Face's hub has them; training in two shards."""
    (directory / "data").mkdir(parents=True)
    for part, found in hugging_face(data).items():
        shards = 2 if part == "train" else 1
        for number in range(shards):
            shard: Any = found.shard(shards, number, contiguous=True)
            shard.to_parquet(directory / "data" / f"{part}-{number:05}-of-{shards:05}.parquet")
    return directory


def write_saved(data: MadeSet, directory: Path) -> Path:
    """Write the directory that Hugging Face's `save_to_disk` makes."""
    hugging_face(data).save_to_disk(directory)
    return directory


def write_kaggle(data: MadeSet, directory: Path) -> Path:
    """Write train.csv with a label and the pixels of an image in each row, and test.csv without labels."""
    import pandas as pd

    directory.mkdir()
    for part, (images, labels) in data.parts.items():
        flat = images.reshape(len(images), -1)
        frame = pd.DataFrame(flat, columns=[f"pixel{place}" for place in range(flat.shape[1])])
        if part == "train":
            frame.insert(0, "label", labels)
        frame.to_csv(directory / f"{part}.csv", index=False)
    return directory
