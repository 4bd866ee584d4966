"""idx files, as MNIST, Fashion-MNIST, KMNIST, EMNIST and QMNIST are published."""

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.idx import TYPES, IdxFile, open_decompressed
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.arrays import array_part
from components.ingest.emnist import emnist_classes, is_emnist
from components.ingest.form import Form, Part, Place
from components.ingest.subsets import chosen_subset, set_and_part

# Such as emnist-letters-train-images-idx3-ubyte.gz and train-images.idx3-ubyte.
_NAME = re.compile(r"(?P<start>.+)[-_](?P<kind>images|labels)[-_.]idx(\d[-_]\w+?)?(\.gz)?")
# QMNIST's labels are rows of the class, the writer and more.
QMNIST_COLUMNS = 8
# The usual name of the other file of a part.
DIMENSIONS = {"images": ("idx3", "idx1"), "labels": ("idx1", "idx3")}
# The files of a part by kind: images and labels.
Files = dict[str, Place]


def recognize(place: Place, data: DataPlan, scratch: Path | None) -> Form | None:
    """Recognize a directory of idx files with their published names, plain or gzip-compressed."""
    del scratch
    if place.path.is_file():
        _refuse_one_file(place)
        return None
    sets: dict[str, dict[str, Files]] = {}
    # Sorted backwards and overwritten: of several spellings "-idx" comes before ".idx".
    for path in sorted(place.path.iterdir(), reverse=True, key=_preference):
        match = _NAME.fullmatch(path.name)
        data_set, part = set_and_part(match["start"]) if match else ("", None)
        if match and part and path.is_file():
            sets.setdefault(data_set, {}).setdefault(part, {})[match["kind"]] = place.child(path.name)
    if not sets:
        return None
    data_set, parts = chosen_subset(sets, data.subset, place.uri)
    if "train" not in parts:
        held = ", ".join(sorted(parts))
        raise PipelineError(f"{place.uri} must hold the training part too but holds only {held}: add it.")
    notes: list[str] = []
    found = {part: _part(files, place, notes) for part, files in parts.items()}
    turned = is_emnist(data_set)
    names = emnist_classes(place.path, data_set) if turned else ()
    return Form("idx", place.uri, found, names, turned, tuple(dict.fromkeys(notes)))


def _preference(path: Path) -> tuple[bool, bool, str]:
    """Sort the spelling of MNIST's own site first: compressed, with a hyphen."""
    return ".idx" in path.name, not path.name.endswith(".gz"), path.name


def _refuse_one_file(place: Place) -> None:
    try:
        with open_decompressed(place.path) as file:
            start = file.read(4)
    except (EOFError, OSError, zlib.error):
        return
    if len(start) == 4 and start[:2] == b"\0\0" and start[2] in TYPES and 1 <= start[3] <= 4:
        directory = place.uri.rpartition("/")[0]
        raise PipelineError(
            f"{place.uri} must be the directory of a data set's idx files but is one of these files: "
            f"give {directory}."
        )


def _part(files: Files, place: Place, notes: list[str]) -> Part:
    for kind, other in (("images", "labels"), ("labels", "images")):
        if kind not in files:
            missing = files[other].path.name.replace(other, kind).replace(*DIMENSIONS[other])
            raise PipelineError(
                f"{place.uri} must hold {missing} for {files[other].path.name} but does not: add it, plain or .gz."
            )
    images = IdxFile(files["images"].path, files["images"].uri)
    labels = IdxFile(files["labels"].path, files["labels"].uri)
    if labels.dtype == np.dtype(">i4") and labels.shape[1:] == (QMNIST_COLUMNS,):
        notes.append("labels are the first of QMNIST's 8 columns")
        return array_part(images, labels, _first_column)
    return array_part(images, labels)


def _first_column(labels: NDArray[Any]) -> NDArray[Any]:
    return labels[:, 0]
