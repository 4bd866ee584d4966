"""Reading of forms as ingest reads them, for tests."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.plan.run import DataPlan
from components.ingest import detect
from components.ingest.form import Form, Place
from components.ingest.labels import as_labels, resolve_classes
from components.ingest.pixels import PixelReader


def recognized(path: Path, **options: Any) -> Form:
    """Recognize the data set at a path, with options of the plan's data section."""
    scratch = path.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return detect.recognize(Place(path, f"file://{path}"), DataPlan(**options), scratch)


def read_part(form: Form, part: str) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Return the images, N x height x width x channels, and the labels of a part, as they are converted."""
    images, labels = [], []
    reader = PixelReader(form.parts[part].place)
    for some_images, some_labels in form.parts[part].chunks():
        images.append(reader.pixels(some_images))
        labels.append(some_labels)
    return np.concatenate(images), as_labels(np.concatenate(labels), form.parts[part].place)


def read_classes(form: Form) -> tuple[str, ...]:
    """Return the names of the classes."""
    labels = {part: read_part(form, part)[1] for part in form.parts}
    return resolve_classes(labels, form.names, form.uri).classes
