"""Classification of pictures from files, directories and prefixes of the object store."""

import csv
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import CLASSES, IMAGE_SHAPE
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.storage.object_store import ObjectStore
from pipelines.models.pictures import Refusal, as_mnist, read_arrays, read_picture

PICTURES = {".png", ".jpg", ".jpeg"}
ARRAYS = ".npy"
BATCH = 256
PROGRESS_SECONDS = 2.0

Source = tuple[str, NDArray[np.uint8] | Refusal]


@dataclass(frozen=True)
class Prediction:
    """The answer of the model for one picture.

    Attributes:
        name: Path or URI of the picture, with its number where the file holds several.
        digit: The most probable digit; None where the picture was refused.
        probability: Probability of that digit; 0 where the picture was refused.
        rejected: Whether the probability lies below the limit, so that a person should look at the picture.
        probabilities: Probabilities of the classes 0 to 9; empty where the picture was refused.
        refused: Reason why the picture was refused; "" where it was not.
    """

    name: str
    digit: int | None
    probability: float
    rejected: bool
    probabilities: tuple[float, ...]
    refused: str = ""


def predictions(
    classifier: Classifier, paths: Iterable[str], reject_below: float, progress: Callable[[int], None]
) -> Iterator[Prediction]:
    """Yield a prediction for every picture, in order; only one batch of pictures is in memory.

    Args:
        classifier: The model.
        paths: Files, directories and `s3://` prefixes.
        reject_below: Probability below which a prediction is marked as rejected.
        progress: Called after each batch with the number of pictures so far.

    Raises:
        PipelineError: A path does not exist, holds no pictures, or is an array of another kind.
    """
    done = 0
    sources = (source for path in paths for source in _sources(path))
    while batch := list(itertools.islice(sources, BATCH)):
        images = [image for _, image in batch if not isinstance(image, Refusal)]
        answers: Iterator[NDArray[np.float32]] = iter(
            classifier.probabilities(np.stack(images)) if images else ()
        )
        for name, image in batch:
            if isinstance(image, Refusal):
                yield Prediction(name, None, 0.0, True, (), image.reason)
                continue
            row: NDArray[np.float32] = next(answers)
            best = int(row.argmax())
            yield Prediction(
                name, best, float(row[best]), bool(row[best] < reject_below), tuple(map(float, row))
            )
        done += len(batch)
        progress(done)


def _sources(path: str) -> Iterator[Source]:
    found = False
    for name, content in _files(path):
        found = True
        if name.lower().endswith(ARRAYS):
            images = read_arrays(content, name)
            for number, image in enumerate(images):
                # An array of this size counts as an image in MNIST's form.
                converted = image if image.shape == IMAGE_SHAPE else as_mnist(image)
                yield (f"{name}[{number}]" if len(images) > 1 else name), converted
        else:
            picture = read_picture(content)
            yield name, picture if isinstance(picture, Refusal) else as_mnist(picture)
    if not found:
        raise PipelineError(
            f"{path} must be or hold {', '.join(sorted(PICTURES))} or {ARRAYS} files but there are none: "
            "give another path."
        )


def _files(path: str) -> Iterator[tuple[str, bytes]]:
    if path.startswith("s3://"):
        yield from _objects(path)
        return
    given = Path(path)
    try:
        if given.is_dir():
            for file in sorted(file for file in given.rglob("*") if _readable(file.name)):
                yield str(file), file.read_bytes()
        elif _readable(path):
            yield path, given.read_bytes()
    except OSError as error:
        raise PipelineError(
            f"{path} must be a file or directory that can be read but is not ({error.strerror}): give another path."
        ) from error


def _objects(uri: str) -> Iterator[tuple[str, bytes]]:
    store, prefix = ObjectStore.for_uri(uri)
    with TemporaryDirectory() as scratch:
        target = Path(scratch, "object")
        for key in filter(_readable, store.keys(prefix)):
            if store.download(key, target):
                yield store.uri(key), target.read_bytes()


def _readable(name: str) -> bool:
    return Path(name).suffix.lower() in {*PICTURES, ARRAYS}


def counted(found: Iterable[Prediction], answered: Counter[bool]) -> Iterator[Prediction]:
    """Yield the predictions, and count in `answered` those with an answer (True) and the refused ones (False)."""
    for prediction in found:
        answered[not prediction.refused] += 1
        yield prediction


def progress_printer(stream: TextIO) -> Callable[[int], None]:
    """Return a callback that prints the number of pictures and their rate, at most once in `PROGRESS_SECONDS`."""
    started = last = time.monotonic()

    def progress(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS:
            last = now
            print(f"{done} images, {done / (now - started):.0f} a second", file=stream, flush=True)

    return progress


def write_table(found: Iterable[Prediction], stream: TextIO) -> None:
    """Write one line of text per picture."""
    for prediction in found:
        verdict = f"refused: {prediction.refused}" if prediction.refused else _verdict(prediction)
        print(f"{verdict}  {prediction.name}", file=stream, flush=True)


def _verdict(prediction: Prediction) -> str:
    return f"{prediction.digit}  {prediction.probability:6.1%}{'  unsure' if prediction.rejected else ''}"


def write_json(found: Iterable[Prediction], stream: TextIO) -> None:
    """Write one JSON object per line, each as soon as its picture is classified."""
    for prediction in found:
        about: dict[str, Any] = {
            "image": prediction.name,
            "digit": prediction.digit,
            "rejected": prediction.rejected,
        }
        if prediction.refused:
            about["refused"] = prediction.refused
        else:
            about["probabilities"] = [round(value, 6) for value in prediction.probabilities]
        print(json.dumps(about), file=stream, flush=True)


def write_csv(found: Iterable[Prediction], stream: TextIO) -> None:
    """Write a header and one row per picture."""
    writer = csv.writer(stream, lineterminator="\n")
    classes = range(CLASSES)
    writer.writerow(["image", "digit", "rejected", "refused", *(f"p{label}" for label in classes)])
    for prediction in found:
        digit = "" if prediction.digit is None else prediction.digit
        values = [f"{value:.6f}" for value in prediction.probabilities] or [""] * CLASSES
        writer.writerow(
            [prediction.name, digit, str(prediction.rejected).lower(), prediction.refused, *values]
        )


WRITERS: dict[str, Callable[[Iterable[Prediction], TextIO], None]] = {
    "table": write_table,
    "json": write_json,
    "csv": write_csv,
}
