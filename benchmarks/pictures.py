"""Reading of a directory of PNG files, beside Keras's reader."""

import hashlib
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting

READERS = {
    "mnist-pipeline": "benchmarks.pictures:read_by_project",
    "Keras's image_dataset_from_directory": "benchmarks.pictures:read_by_keras",
}
ROUNDS, FILES = 3, 100_000
QUICK_ROUNDS, QUICK_FILES = 1, 1000
TIMES_FASTER = 3.0


def measure(setting: Setting, _: Results) -> Result:
    rounds, files = (QUICK_ROUNDS, QUICK_FILES) if setting.quick else (ROUNDS, FILES)
    directory = setting.work / "pictures"
    size = write_pictures(setting.development, directory, files)
    seconds: dict[str, list[float]] = {name: [] for name in READERS}
    for number in range(rounds):
        digests = set()
        # In turns, since what runs first finds the machine cooler.
        for name in list(READERS) if number % 2 else reversed(READERS):
            value = call(READERS[name], str(directory), size).value
            seconds[name].append(value["seconds"])
            digests.add(value["digest"])
        if len(digests) > 1:
            raise RuntimeError("the readers must give the same arrays but give different ones")
    ours, kerases = seconds.values()
    ratio = statistics.median(keras / own for own, keras in zip(ours, kerases, strict=True))
    rows = [
        [
            name,
            f"{statistics.median(own):.2f}",
            f"{min(own):.2f} to {max(own):.2f}",
            f"{statistics.median(own) / files * 1e6:.1f}",
        ]
        for name, own in seconds.items()
    ]
    return Result(
        "Reading pictures",
        f"{files} PNG files of MNIST's images in a directory for each class, from the cache of the file system into "
        f"the same arrays, each reader in a fresh process whose imports are not counted; {rounds} rounds with both "
        "readers in each, median of the ratios within a round.",
        ["reader", "seconds", "range", "microseconds a file"],
        rows,
        [Floor("reading PNG files, times faster than Keras", ratio, TIMES_FASTER)],
        dict(seconds),
    )


def write_pictures(development: Path, directory: Path, files: int) -> tuple[int, int]:
    """Write the training images as PNG files in a directory for each class, over and over; return height and width."""
    from PIL import Image

    from components.common.data.dataset import open_split

    train = open_split(development, "train")
    for name in train.spec.classes:
        (directory / name).mkdir(parents=True)
    for number in range(files):
        at = number % len(train.labels)
        target = directory / train.spec.classes[train.labels[at]] / f"{number:06}.png"
        Image.fromarray(train.images[at, :, :, 0]).save(target)
    return train.spec.height, train.spec.width


def read_by_project(directory: str, _size: list[int]) -> dict[str, Any]:
    """Read the pictures, whose size is found; return the seconds and a digest of the arrays."""
    import PIL.Image  # noqa: F401

    from components.common.plan.run import DataPlan
    from components.ingest.form import Place
    from components.ingest.forms.pictures import recognize

    path = Path(directory)
    started = time.perf_counter()
    form = recognize(Place(path, directory), DataPlan(), path)
    if not form:
        raise RuntimeError("the directory must hold pictures but holds none")
    images, labels = zip(*form.parts["train"].chunks(), strict=True)
    arrays = np.concatenate(images), np.concatenate(labels).astype(np.int32)
    return _read(time.perf_counter() - started, *arrays)


def read_by_keras(directory: str, size: list[int]) -> dict[str, Any]:
    """Read the pictures of height x width; return the seconds and a digest of the arrays."""
    import keras

    started = time.perf_counter()
    batches = keras.utils.image_dataset_from_directory(
        directory,
        color_mode="grayscale",
        image_size=size,
        batch_size=1024,
        shuffle=False,
        verbose=False,
    )
    images, labels = zip(*((x.numpy().astype(np.uint8), y.numpy()) for x, y in batches), strict=True)
    arrays = np.concatenate(images), np.concatenate(labels)
    return _read(time.perf_counter() - started, *arrays)


def _read(seconds: float, images: NDArray[np.uint8], labels: NDArray[np.int32]) -> dict[str, Any]:
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    return {"seconds": seconds, "digest": digest}
