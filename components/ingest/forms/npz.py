"""npz archives and npy files of images and labels: Keras's names, MedMNIST's, and one array a file."""

import csv
import re
from pathlib import Path

import numpy as np

from components.common.data.npy import NPY_MAGIC, NpyFile, npz_members
from components.common.errors import PipelineError, first_line
from components.common.plan.run import DataPlan
from components.ingest.arrays import array_part
from components.ingest.form import Form, Place
from components.ingest.subsets import PART_WORDS, PLAIN, chosen_subset, set_and_part

_WORDS = "|".join(sorted(PART_WORDS, key=len, reverse=True))
_KINDS = "(?P<images>images?|imgs?|x|data|pixels|features)|(?P<labels>labels?|y|targets?)"
# Such as x_train, train_images, images; and after the name of a data set, k49-train-imgs.
_NAME = re.compile(
    rf"((?P<set>.+?)[-_.])??((?P<before>{_WORDS})[-_.]?)?({_KINDS})([-_.]?(?P<after>{_WORDS}))?",
    re.IGNORECASE,
)
_CLASS_NAMES = re.compile("(class|label|target)_?names|classes|categories", re.IGNORECASE)
NAMES = "x_train and y_train, train_images and train_labels, or images and labels"
# Arrays by part and kind, "images" or "labels"; an array is its file, and its name in an archive.
Array = tuple[Place, str | None]
Parts = dict[str, dict[str, Array]]


def recognize(place: Place, data: DataPlan, scratch: Path | None) -> Form | None:
    """Recognize an npz archive, or a directory of such archives or of files that hold one array each."""
    del scratch
    if not place.path.is_dir():
        return _recognize_file(place)
    sets: dict[str, Parts | Place] = {
        data_set: parts
        for data_set, parts in _sets_of_files(place).items()
        if {"images", "labels"} <= {kind for arrays in parts.values() for kind in arrays}
    }
    # Archives such as train.npz and test.npz, whose arrays are named x and y.
    sets_of_parts: dict[str, Parts] = {}
    for path in sorted(place.path.glob("*.npz")):
        archive = place.child(path.name)
        held = _parts_of_archive(archive)[0]
        if "labels" not in held.get("train", {}):
            continue
        data_set, part = set_and_part(path.stem)
        if part and list(held) == ["train"]:
            for kind, array in held["train"].items():
                _add(sets_of_parts.setdefault(data_set, {}), part, kind, array)
        else:
            sets[path.stem] = archive
    sets |= {data_set: parts for data_set, parts in sets_of_parts.items() if "train" in parts}
    if not sets:
        return None
    data_set, found = chosen_subset(sets, data.subset, place.uri)
    if isinstance(found, Place):
        return _archive_form(found)
    return _form(place, found, _classmap(place.path / f"{data_set}_classmap.csv"), [])


def _recognize_file(place: Place) -> Form | None:
    with place.path.open("rb") as file:
        is_array = file.read(len(NPY_MAGIC)) == NPY_MAGIC
    if is_array:
        raise PipelineError(
            f"{place.uri} must be a data set but is a single array: give the directory that holds images and labels "
            "as x_train.npy, y_train.npy, x_test.npy and y_test.npy."
        )
    members = npz_members(place.path)
    if place.uri.endswith(".npz") and not members:
        raise PipelineError(
            f"{place.uri} must be an npz archive but is {place.path.stat().st_size} other bytes: "
            "fetch or write it again."
        )
    return _archive_form(place) if members else None


def _parsed(name: str) -> tuple[str, str, str] | None:
    """Return data set, part and kind of the array of this name."""
    if not (match := _NAME.fullmatch(name)):
        return None
    part = PART_WORDS[(match["before"] or match["after"] or "train").lower()]
    return match["set"] or PLAIN, part, "images" if match["images"] else "labels"


def _parts_of_archive(archive: Place) -> tuple[Parts, list[str]]:
    """Return the images and labels in an archive, and the names of its other arrays."""
    parts: Parts = {}
    others = []
    for name in npz_members(archive.path):
        parsed = _parsed(name)
        if not parsed or parsed[0] != PLAIN:
            others.append(name)
            continue
        _, part, kind = parsed
        _add(parts, part, kind, (archive, name))
    return parts, others


def _sets_of_files(directory: Place) -> dict[str, Parts]:
    """Return the data sets in the files of a directory that hold one array each."""
    sets: dict[str, Parts] = {}
    for path in sorted(directory.path.iterdir()):
        parsed = _parsed(path.stem) if path.suffix in {".npy", ".npz"} else None
        members = npz_members(path) if parsed and path.suffix == ".npz" else []
        if parsed and (path.suffix == ".npy" or len(members) == 1):
            data_set, part, kind = parsed
            array = directory.child(path.name), members[0] if members else None
            _add(sets.setdefault(data_set, {}), part, kind, array)
    return sets


def _add(parts: Parts, part: str, kind: str, array: Array) -> None:
    other = parts.setdefault(part, {}).setdefault(kind, array)
    if other != array:
        raise PipelineError(
            f"there must be one array of {kind} for the {part} part but there are {_name(other)} and {_name(array)}: "
            "leave one out."
        )


def _name(array: Array) -> str:
    place, member = array
    return place.uri if member is None else f"{place.uri}: {member}"


def _opened(array: Array) -> NpyFile:
    place, member = array
    return NpyFile(place.path, _name(array), None if member is None else f"{member}.npy")


def _archive_form(archive: Place) -> Form:
    parts, others = _parts_of_archive(archive)
    if set(parts.get("train", {})) != {"images", "labels"}:
        listed = "; ".join(_described((archive, name)) for name in npz_members(archive.path)[:10])
        raise PipelineError(f"{archive.uri} must hold {NAMES} but holds {listed}: rename the arrays.")
    names: tuple[str, ...] = ()
    for name in [name for name in others if _CLASS_NAMES.fullmatch(name)]:
        array = _opened((archive, name))
        if array.dtype.kind in "US":
            texts = array.array().ravel()
            names = tuple(
                (np.char.decode(texts, "utf-8", "replace") if array.dtype.kind == "S" else texts).tolist()
            )
            others.remove(name)
    return _form(archive, parts, names, [f"not read: {', '.join(others)}"] if others else [])


def _described(array: Array) -> str:
    try:
        file = _opened(array)
    except PipelineError:
        return f"{array[1]}, no array of numbers or texts"
    return f"{array[1]}, {' x '.join(map(str, file.shape)) or 'one value'} of type {file.dtype}"


def _form(place: Place, parts: Parts, names: tuple[str, ...], notes: list[str]) -> Form:
    found = {}
    for part, arrays in parts.items():
        if part != "train" and ("labels" not in arrays or _unlabelled(_opened(arrays["labels"]))):
            notes.append(f"{part} has no labels: left out")
            continue
        if missing := {"images", "labels"} - set(arrays):
            held = ", ".join(_name(array) for array in arrays.values())
            raise PipelineError(
                f"{place.uri} must hold {' and '.join(missing)} of the {part} part too but holds only {held}: add them."
            )
        found[part] = array_part(_opened(arrays["images"]), _opened(arrays["labels"]))
    if "train" not in found:
        raise PipelineError(
            f"{place.uri} must hold the training part too but holds only {', '.join(parts)}: add it."
        )
    return Form("npz", place.uri, found, names, notes=tuple(notes))


def _unlabelled(labels: NpyFile) -> bool:
    """Return whether every label is missing: -1, NaN or an empty text."""
    values = labels.array()
    missing = (
        np.isnan(values) if values.dtype.kind == "f" else values == ("" if values.dtype.kind == "U" else -1)
    )
    return bool(values.size and np.all(missing))


def _classmap(path: Path) -> tuple[str, ...]:
    """Return the names in a file of Kuzushiji-49 or KMNIST that has the columns index, codepoint and char."""
    if not path.is_file():
        return ()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = {int(row["index"]): row["char"] for row in csv.DictReader(file)}
        return tuple(names[place] for place in range(len(names)))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise PipelineError(
            f"{path} must name each class in the columns index and char but does not ({first_line(error)}): "
            "fetch it again or remove it."
        ) from error
