"""Pictures in a directory for each class, with or without a directory for each part around them."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import MOST_FILES, require_within
from components.common.data.picture import PICTURE_SUFFIXES
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.form import Chunk, Form, Part, Place, rows_of
from components.ingest.forms.picture_files import Files, take_pictures
from components.ingest.sizes import LARGEST_SIDE

# Names of the parts' directories, in lower case.
PARTS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# Of Windows and macOS; names that start with a dot are left out too.
IGNORED = {"Thumbs.db", "desktop.ini", "__MACOSX"}
# Files of one job.
MOST_TOGETHER = 512


@dataclass(frozen=True)
class _Listing:
    """Names in a directory, sorted."""

    directories: list[str]
    pictures: list[str]
    others: list[str]


@dataclass(frozen=True)
class _Classes:
    """Pictures of a part by class, and what is left out."""

    place: Place
    files: dict[str, Files]
    others: list[str]
    empty: list[str]

    @property
    def count(self) -> int:
        """Number of pictures."""
        return sum(len(files.names) for files in self.files.values())


def recognize(place: Place, data: DataPlan, scratch: Path | None) -> Form | None:
    """Recognize a directory with a directory of pictures for each class, or with such directories for the parts.

    The pictures are decoded into `scratch`, since all of them decide what size and how many channels each has. Without
    it no picture is opened, and the form has no parts.

    Raises:
        PipelineError: A class's directory holds directories, a picture is damaged, or two directories hold one part.
    """
    if not place.path.is_dir():
        return None
    root = _listed(place.path)
    parts, notes = _parts(place, root)
    if not parts and (classes := _classes(place, root)):
        _require_classes(classes)
        parts = {"train": classes}
    if "train" not in parts:
        return None
    if scratch is None:
        return Form("pictures", place.uri, {}, notes=tuple(notes))
    scratch.mkdir(parents=True, exist_ok=True)
    pixels = Path(mkdtemp(dir=scratch), "pixels")
    side = data.size or LARGEST_SIDE
    jobs = _jobs(parts.values(), min(MOST_TOGETHER, rows_of(3 * side**2)))
    shape, decided = take_pictures(jobs, data.size, pixels)
    notes += [*_left_out(list(parts.values())), *decided]
    count = jobs[-1].place + len(jobs[-1].names)
    images = np.memmap(pixels, np.uint8, "r", shape=(count, *shape))
    found, place_ = {}, 0
    for part, classes in parts.items():
        found[part] = Part(classes.place.uri, _chunks(classes, images[place_ : place_ + classes.count]))
        place_ += classes.count
    return Form("pictures", place.uri, found, notes=tuple(notes))


def _listed(path: Path) -> _Listing:
    directories, pictures, others = [], [], []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name in IGNORED:
                continue
            if entry.is_dir():
                directories.append(name)
            elif name[name.rfind(".") :].lower() in PICTURE_SUFFIXES:
                pictures.append(name)
            else:
                others.append(name)
    return _Listing(sorted(directories), sorted(pictures), sorted(others))


def _parts(place: Place, root: _Listing) -> tuple[dict[str, _Classes], list[str]]:
    """Return the parts by name where the directory holds one for each part; else none of them."""
    parts: dict[str, _Classes] = {}
    notes = []
    for name in root.directories:
        part, child = PARTS.get(name.lower()), place.child(name)
        if not part:
            notes.append(f"{child.uri} is left out")
            continue
        listing = _listed(child.path)
        classes = _classes(child, listing)
        if not classes:
            pictures = ": its pictures lie in no directories of classes" if listing.pictures else ""
            notes.append(f"{child.uri} is left out{pictures}")
            continue
        if part in parts:
            raise PipelineError(
                f"{place.uri} must hold one directory for each part but {parts[part].place.path.name} and {name} are "
                "the same: join them."
            )
        parts[part] = classes
    return (parts, notes) if "train" in parts else ({}, [])


def _classes(place: Place, root: _Listing) -> _Classes | None:
    """Return the pictures by class where the directory holds a directory for each."""
    listings = {name: _listed(place.path / name) for name in root.directories}
    filled = {name: listing for name, listing in listings.items() if listing.pictures}
    deep = {name: listing.directories[0] for name, listing in listings.items() if listing.directories}
    # Pictures beside a data set, such as those of its documentation, do not make it one.
    if not filled or (deep and len(filled) == 1):
        return None
    for name, below in deep.items():
        raise PipelineError(
            f"{place.uri}/{name} must hold the pictures of one class but holds the directory {below!r}: "
            "give each class one directory, without others in it."
        )
    others = [*root.pictures, *root.others]
    others += [f"{name}/{other}" for name, listing in listings.items() for other in listing.others]
    files = {name: Files(place.path / name, f"{place.uri}/{name}", filled[name].pictures) for name in filled}
    classes = _Classes(place, files, others, [name for name in listings if name not in filled])
    require_within(classes.count, MOST_FILES, f"{place.uri}: the number of pictures", "give a part of them")
    return classes


def _require_classes(classes: _Classes) -> None:
    """Refuse pictures in directories of parts; a class may have a part's name beside others."""
    if {name.lower() for name in classes.files} <= PARTS.keys():
        raise PipelineError(
            f"{classes.place.uri} must hold a directory for each class but holds only {' and '.join(classes.files)}, "
            "with pictures in them: sort these into directories of classes."
        )


def _left_out(parts: Sequence[_Classes]) -> list[str]:
    notes = []
    empty = [f"{classes.place.uri}/{name}" for classes in parts for name in classes.empty]
    if empty:
        notes.append(f"left out are the directories without a picture: {_some(empty)}")
    others = [f"{classes.place.uri}/{name}" for classes in parts for name in classes.others]
    if others:
        notes.append(f"left out are the files that are no pictures in a class's directory: {_some(others)}")
    return notes


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _jobs(parts: Iterable[_Classes], most: int) -> list[Files]:
    """Return the files of all parts in order, at most so many at a time."""
    jobs, place = [], 0
    for files in (files for classes in parts for files in classes.files.values()):
        for start in range(0, len(files.names), most):
            names = files.names[start : start + most]
            jobs.append(Files(files.directory, files.uri, names, place))
            place += len(names)
    return jobs


def _chunks(classes: _Classes, images: NDArray[np.uint8]) -> Callable[[], Iterator[Chunk]]:
    def chunks() -> Iterator[Chunk]:
        most, done = rows_of(images[0].size), 0
        for name, files in classes.files.items():
            end = done + len(files.names)
            for start in range(done, end, most):
                chunk = images[start : min(start + most, end)]
                yield chunk, np.full(len(chunk), name)
            done = end

    return chunks
