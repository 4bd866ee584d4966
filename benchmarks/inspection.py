"""Seconds of `mnist-pipeline data inspect` on the same images in every form."""

import gzip
import shutil
import statistics
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.commands import timed
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.data.dataset import open_split
from components.common.data.idx import idx_header

ROUNDS, QUICK_ROUNDS = 5, 1
MOST_SECONDS = 2.0
Parts = dict[str, tuple[NDArray[np.uint8], NDArray[np.integer]]]


def measure(setting: Setting, _: Results) -> Result:
    rounds = QUICK_ROUNDS if setting.quick else ROUNDS
    paths = write_forms(_parts(setting), setting.work)
    sheet = str(setting.work / "sheet.png")
    commands = [("data", "inspect", str(path), "--sheet", sheet) for path in paths.values()]
    seconds = dict(zip(paths, (one.seconds for one in timed(commands, rounds)), strict=True))
    rows = [
        [form, f"{statistics.median(own):.2f}", f"{min(own):.2f} to {max(own):.2f}"]
        for form, own in seconds.items()
    ]
    slowest = max(statistics.median(own) for own in seconds.values())
    return Result(
        "Looking at data",
        "`mnist-pipeline data inspect` of all images of the data set in each form, from the start of its process to "
        "its end: read, decoded, checked, compared, and drawn as a contact sheet. "
        f"Median of {rounds} rounds of all forms.",
        ["form", "seconds", "range"],
        rows,
        [Floor("data inspect, slowest form, seconds", slowest, MOST_SECONDS, at_least=False)],
        seconds,
    )


def _parts(setting: Setting) -> Parts:
    """Return the images of the training part and of the test part, N x height x width, and their labels."""
    train, validation = (open_split(setting.development, name) for name in ("train", "validation"))
    test = open_split(setting.test, "test")
    return {
        "train": (
            np.concatenate([train.images, validation.images])[..., 0],
            np.concatenate([train.labels, validation.labels]),
        ),
        "test": (np.asarray(test.images)[..., 0], np.asarray(test.labels)),
    }


def write_forms(parts: Parts, directory: Path) -> dict[str, Path]:
    """Write a data set in every form, with the packages that people write it with, and return the paths."""
    pictures = _write_pictures(parts, directory / "pictures")
    forms = {
        "idx, gzip": _write_idx(parts, directory / "idx"),
        "npz, compressed": directory / "arrays.npz",
        "CSV": _write_csv(parts, directory / "csv"),
        "directory of PNG files": pictures,
        "zip of PNG files": _write_zip(pictures, directory / "pictures.zip"),
        "tar of PNG files": Path(shutil.make_archive(str(directory / "pictures"), "tar", pictures)),
        "tar of PNG files, gzip": Path(shutil.make_archive(str(directory / "pictures"), "gztar", pictures)),
        **_write_hugging_face(parts, directory),
    }
    arrays: dict[str, Any] = {}
    for part, (images, labels) in parts.items():
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    np.savez_compressed(directory / "arrays.npz", **arrays)
    return forms


def _write_idx(parts: Parts, directory: Path) -> Path:
    directory.mkdir()
    for part, arrays in parts.items():
        for kind, array in zip(("images-idx3", "labels-idx1"), arrays, strict=True):
            name = f"{'t10k' if part == 'test' else part}-{kind}-ubyte.gz"
            content = idx_header(np.dtype(np.uint8), array.shape) + array.astype(np.uint8).tobytes()
            (directory / name).write_bytes(gzip.compress(content, 6))
    return directory


def _write_csv(parts: Parts, directory: Path) -> Path:
    import pandas as pd

    directory.mkdir()
    for part, (images, labels) in parts.items():
        flat = images.reshape(len(images), -1)
        frame = pd.DataFrame(flat, columns=[f"pixel{place}" for place in range(flat.shape[1])])
        frame.insert(0, "label", labels)
        frame.to_csv(directory / f"{part}.csv", index=False)
    return directory


def _write_pictures(parts: Parts, directory: Path) -> Path:
    for part, (images, labels) in parts.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = directory / part / str(label) / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return directory


def _write_zip(pictures: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for picture in sorted(pictures.rglob("*.png")):
            archive.write(picture, picture.relative_to(pictures))
    return path


def _write_hugging_face(parts: Parts, directory: Path) -> dict[str, Path]:
    from datasets import ClassLabel, Dataset, DatasetDict, Features
    from datasets import Image as Picture

    names = [str(label) for label in np.unique(parts["train"][1])]
    features = Features({"image": Picture(), "label": ClassLabel(names=names)})
    found = DatasetDict(
        {
            part: Dataset.from_dict(
                {"image": [Image.fromarray(image) for image in images], "label": labels.tolist()}, features
            )
            for part, (images, labels) in parts.items()
        }
    )
    (directory / "parquet" / "data").mkdir(parents=True)
    for part, own in found.items():
        own.to_parquet(directory / "parquet" / "data" / f"{part}-00000-of-00001.parquet")
    found.save_to_disk(directory / "saved")
    return {"Parquet": directory / "parquet", "save_to_disk": directory / "saved"}
