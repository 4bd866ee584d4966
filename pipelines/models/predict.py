"""Classification of pictures, and the forms in which the answers are written."""

import csv
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from components.common.data.spec import ImageSpec
from components.common.printable import as_cell, printable
from pipelines.models.pictures import Refusal
from pipelines.models.sources import Source

BATCH = 256
# Values of the images of one batch, for large images.
BATCH_VALUES = 2**25
PROGRESS_SECONDS = 2.0
# Column of the table; a longer name moves the rest of its line.
WIDEST_LABEL = 24


class Answerer(Protocol):
    """What classifies images: a `RuntimeClassifier` or a `Classifier`."""

    spec: ImageSpec

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities, float32 N x classes, of uint8 images."""


@dataclass(frozen=True)
class Prediction:
    """The answer of the model for one picture.

    Attributes:
        name: Path or URI of the picture, with its number where the file holds several.
        label: Name of the most probable class; None where the picture was refused.
        probability: Probability of that class; 0 where the picture was refused.
        rejected: Whether the probability lies below the limit, so that a person should look at the picture.
        probabilities: Probabilities by the names of the classes; empty where the picture was refused.
        refused: Reason why the picture was refused; "" where it was not.
    """

    name: str
    label: str | None
    probability: float
    rejected: bool
    probabilities: Mapping[str, float]
    refused: str = ""


def predictions(
    classifier: Answerer,
    sources: Iterable[Source],
    reject_below: float,
    progress: Callable[[int], None],
) -> Iterator[Prediction]:
    """Yield a prediction for every picture, in order; only one batch of pictures is in memory.

    Args:
        classifier: The model.
        sources: The pictures, as `read_sources` yields them.
        reject_below: Probability below which a prediction is marked as rejected.
        progress: Called after each batch with the number of pictures so far.

    Raises:
        PipelineError: The model does not return probabilities, or a source cannot be read.
    """
    done = 0
    spec = classifier.spec
    images_left = iter(sources)
    size = max(1, min(BATCH, BATCH_VALUES // spec.pixels))
    while batch := list(itertools.islice(images_left, size)):
        images = [image for _, image in batch if not isinstance(image, Refusal)]
        answers: Iterator[NDArray[np.float32]] = iter(
            classifier.probabilities(np.stack(images)) if images else ()
        )
        for name, image in batch:
            if isinstance(image, Refusal):
                yield Prediction(name, None, 0.0, True, {}, image.reason)
                continue
            row: NDArray[np.float32] = next(answers)
            best = int(row.argmax())
            by_class = dict(zip(spec.classes, map(float, row), strict=True))
            yield Prediction(
                name, spec.classes[best], float(row[best]), bool(row[best] < reject_below), by_class
            )
        done += len(batch)
        progress(done)


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


def write_table(found: Iterable[Prediction], classes: Sequence[str], stream: TextIO) -> None:
    """Write one line of text per picture."""
    width = min(max(map(len, classes)), WIDEST_LABEL)
    for prediction in found:
        verdict = f"refused: {prediction.refused}" if prediction.refused else _verdict(prediction, width)
        print(printable(f"{verdict}  {prediction.name}"), file=stream, flush=True)


def _verdict(prediction: Prediction, width: int) -> str:
    unsure = "  unsure" if prediction.rejected else ""
    return f"{prediction.label:{width}}  {prediction.probability:6.1%}{unsure}"


def write_json(found: Iterable[Prediction], classes: Sequence[str], stream: TextIO) -> None:
    """Write one JSON object per line, each as soon as its picture is classified."""
    del classes  # each object has their names
    for prediction in found:
        about: dict[str, Any] = {
            "image": prediction.name,
            "label": prediction.label,
            "rejected": prediction.rejected,
        }
        if prediction.refused:
            about["refused"] = prediction.refused
        else:
            about["probabilities"] = {
                name: round(value, 6) for name, value in prediction.probabilities.items()
            }
        print(json.dumps(about), file=stream, flush=True)


def write_csv(found: Iterable[Prediction], classes: Sequence[str], stream: TextIO) -> None:
    """Write a header and one row per picture; the columns `p:NAME` hold the probabilities of the classes.

    A name that a spreadsheet would take for a formula, or a terminal obey, is changed: `write_raw_csv` writes it as it
    is.
    """
    _write_csv(found, classes, stream, as_cell)


def write_raw_csv(found: Iterable[Prediction], classes: Sequence[str], stream: TextIO) -> None:
    """Write the same with names as they are, for programs."""
    _write_csv(found, classes, stream, str)


def _write_csv(
    found: Iterable[Prediction], classes: Sequence[str], stream: TextIO, cell: Callable[[str], str]
) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["image", "label", "rejected", "refused", *(cell(f"p:{name}") for name in classes)])
    for prediction in found:
        values = [f"{value:.6f}" for value in prediction.probabilities.values()] or [""] * len(classes)
        texts = map(cell, (prediction.name, prediction.label or ""))
        rejected = str(prediction.rejected).lower()
        writer.writerow([*texts, rejected, cell(prediction.refused), *values])


Writer = Callable[[Iterable[Prediction], Sequence[str], TextIO], None]
WRITERS: dict[str, Writer] = {"table": write_table, "json": write_json, "csv": write_csv}
RAW_WRITERS: dict[str, Writer] = {**WRITERS, "csv": write_raw_csv}
