"""Labels of any form as places in the list of classes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, MOST_CLASSES, require_within
from components.common.data.dataset import described
from components.common.errors import PipelineError

LONGEST_NAME = 100
LABEL_IT = "label them, or leave them out"
# Whole numbers from here on are not exact as fractions, or as large as those that labels become.
TOO_LARGE = {"f": 2**53, "u": 2**63}


@dataclass(frozen=True, eq=False)
class Labelled:
    """Names of the classes, and the labels of each part as places among them.

    Attributes:
        notes: What was decided, one sentence each.
    """

    classes: tuple[str, ...]
    labels: dict[str, NDArray[np.int64]]
    notes: tuple[str, ...]


def as_labels(labels: NDArray[Any], place: str) -> NDArray[Any]:
    """Return labels as whole numbers or texts, N.

    Taken are whole numbers of any type, texts, columns of one such value, and one-hot rows.

    Args:
        labels: The labels of a part.
        place: What to call the part in an error.

    Raises:
        PipelineError: They are of another kind, or one is missing.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        labels = _of_one_hot(labels, place)
    if labels.ndim != 1:
        raise PipelineError(
            f"{place}: labels must be one for each image but are {described(labels)}: write them so."
        )
    if labels.dtype.kind == "O":
        labels = _of_objects(labels, place)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "f":
        labels = _of_fractions(labels, place)
    if labels.dtype.kind == "U":
        names = np.char.strip(labels)
        return _present(names, names == "", place)
    if labels.dtype.kind not in "iub":
        raise PipelineError(
            f"{place}: labels must be whole numbers or names but are of type {labels.dtype}: write them so."
        )
    _require_small(labels, place)
    whole = labels.astype(np.int64)
    return _present(whole, whole == -1, place, f"{LABEL_IT}; where -1 is a class, count from 0")


def _require_small(labels: NDArray[Any], place: str) -> None:
    bound = TOO_LARGE.get(labels.dtype.kind)
    wide = labels.astype(np.float64) if labels.dtype.kind == "f" else labels
    if bound and (large := np.abs(wide) >= bound).any():
        first = int(np.flatnonzero(large)[0])
        raise PipelineError(
            f"{place}: labels must be below {bound} but number {first} is {labels[first]}: write them as texts."
        )


def _present(
    labels: NDArray[Any], missing: NDArray[np.bool_], place: str, way_out: str = LABEL_IT
) -> NDArray[Any]:
    if missing.any():
        first = int(np.flatnonzero(missing)[0])
        raise PipelineError(
            f"{place}: each image must have a label but {int(missing.sum())} of {len(labels)} have none, "
            f"number {first} first: {way_out}."
        )
    return labels


def _of_one_hot(labels: NDArray[Any], place: str) -> NDArray[Any]:
    if labels.dtype.kind in "biuf" and np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all():
        places: NDArray[np.int64] = labels.argmax(axis=1)
        return places
    raise PipelineError(
        f"{place}: labels must be one class for each image, or one-hot rows, but are {described(labels)}: "
        "images with several labels cannot be learned; keep one column."
    )


def _of_objects(labels: NDArray[Any], place: str) -> NDArray[Any]:
    missing = np.array([value is None or value != value for value in labels])  # noqa: PLR0124  # NaN
    _present(labels, missing, place)
    if all(isinstance(value, int | np.integer) for value in labels):
        return labels.astype(np.int64)
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in labels]
    # Each takes as much room as the longest.
    room = 4 * len(texts) * max(map(len, texts), default=0)
    require_within(
        room, LARGEST_IN_MEMORY, f"{place}: the bytes of all labels", "shorten them, or give numbers"
    )
    return np.array(texts)


def _of_fractions(labels: NDArray[Any], place: str) -> NDArray[Any]:
    _present(labels, ~np.isfinite(labels), place)
    _require_small(labels, place)
    whole = np.round(labels)
    if (whole != labels).any():
        first = int(np.flatnonzero(whole != labels)[0])
        raise PipelineError(
            f"{place}: labels must be whole numbers or names but number {first} is {labels[first]:g}: write them so."
        )
    return whole.astype(np.int64)


def resolve_classes(labels: Mapping[str, NDArray[Any]], names: Sequence[str], place: str) -> Labelled:
    """Find the classes of the training part, and the place of every label among them.

    Args:
        labels: Labels of each part, as `as_labels` returns them; there is a training part.
        names: Names of the classes where labels are places in this list, empty for a label that no image has; none
            where they are not known.
        place: What to call the data set in an error.

    Raises:
        PipelineError: There is one class only, a label is outside the list, a class has no name to print, or a part has
            a class that the training part lacks.
    """
    values = np.unique(labels["train"])
    if not len(values):
        raise PipelineError(f"{place}: the training part must hold images but holds none: add some.")
    if values.dtype.kind != "U" and names and (values.min() < 0 or values.max() >= len(names)):
        raise PipelineError(
            f"{place}: labels must be places in the list of {len(names)} class names, 0 to {len(names) - 1}, "
            f"but are {values.min()} to {values.max()}: correct the names or the labels."
        )
    if len(values) < 2:
        raise PipelineError(
            f"{place}: there must be at least two classes but the training part has only {values[0]!s}: "
            "add images of another class."
        )
    require_within(
        len(values), MOST_CLASSES, f"{place}: the number of classes", "give labels, not measurements"
    )
    if values.dtype.kind == "U":
        values = np.array(sorted(values.tolist(), key=_natural))
    classes = tuple(names[value] if names and values.dtype.kind != "U" else str(value) for value in values)
    if unprintable := [
        name for name in classes if not (name.isprintable() and 0 < len(name) <= LONGEST_NAME)
    ]:
        label = values[classes.index(unprintable[0])]
        raise PipelineError(
            f"{place}: each class must have a printable name of at most {LONGEST_NAME} characters but that of label "
            f"{label!s:.20} is {unprintable[0]!r:.120}: rename it."
        )
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise PipelineError(f"{place}: class names must differ but {twice!r} occurs twice: rename one.")
    notes, unused = [], []
    if names and values.dtype.kind != "U" and len(values) < len(names):
        unused = [name for place_, name in enumerate(names) if name and place_ not in set(values.tolist())]
    if unused:
        notes.append(f"left out are the classes without a training image: {', '.join(unused)}")
    found = {part: _places(part, given, values, place) for part, given in labels.items()}
    return Labelled(classes, found, tuple(notes))


def _places(part: str, labels: NDArray[Any], values: NDArray[Any], place: str) -> NDArray[np.int64]:
    order = np.argsort(values)
    at = np.minimum(np.searchsorted(values[order], labels), len(values) - 1)
    places: NDArray[np.int64] = order[at]
    unknown = values[places] != labels
    if unknown.any():
        lacking = ", ".join(map(str, np.unique(labels[unknown])[:5]))
        raise PipelineError(
            f"{place}: every class of the {part} part must have training images but {lacking} has none "
            f"({int(unknown.sum())} images): add some, or leave the class out."
        )
    return places


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort 2 before 10."""
    return tuple(
        (0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name) if part
    )
