"""Pictures in a directory for each class, with or without a directory for each part around them."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from components.common.bounds import MOST_FILES, require_within
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.decoding import MOST_TOGETHER, picture_shapes, take_pictures
from components.ingest.form import Form, Part, Place, chunks_of, rows_of
from components.ingest.picture_files import Files, Members
from components.ingest.sizes import LARGEST_SIDE
from components.ingest.subsets import PART_WORDS, set_and_part
from components.ingest.zip_list import is_picture

# Of Windows and macOS; names that start with a dot are left out too.
IGNORED = {"Thumbs.db", "desktop.ini", "__MACOSX"}


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
    files: dict[str, Files | Members]
    others: list[str]
    empty: list[str]

    @property
    def count(self) -> int:
        """Number of pictures."""
        return sum(len(files) for files in self.files.values())


def recognize(place: Place, data: DataPlan, scratch: Path | None) -> Form | None:
    """Recognize a directory with a directory of pictures for each class, or with such directories for the parts.

    The pictures are decoded into `scratch`, since all of them decide what size and how many channels each has. Without
    it no picture is opened, and the form has no parts.

    Raises:
        PipelineError: A class's directory holds directories, a picture is damaged, or two directories hold one part.
    """
    if not place.path.is_dir():
        return None
    root = _listed(place)
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
    count = sum(classes.count for classes in parts.values())
    sample = np.concatenate([picture_shapes(job.some(0, 1, job.place)) for job in jobs])
    shape, decided = take_pictures(lambda: jobs, count, sample, data.size, pixels)
    notes += [*_left_out(list(parts.values())), *decided]
    images = np.memmap(pixels, np.uint8, "r", shape=(count, *shape))
    found, place_ = {}, 0
    for part, classes in parts.items():
        labels = np.repeat(list(classes.files), [len(files) for files in classes.files.values()])
        chunks = partial(chunks_of, images[place_ : place_ + classes.count], labels)
        found[part] = Part(classes.place.uri, chunks)
        place_ += classes.count
    return Form("pictures", place.uri, found, notes=tuple(notes))


def _listed(place: Place) -> _Listing:
    directories, others = [], []
    packed = place.packed.get(place.path)
    pictures = list(packed.names) if packed else []
    with os.scandir(place.path) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") or name in IGNORED:
                continue
            if entry.is_dir():
                directories.append(name)
            elif is_picture(name):
                pictures.append(name)
            else:
                others.append(name)
    return _Listing(sorted(directories), sorted(pictures), sorted(others))


def _files(place: Place, names: list[str]) -> Files | Members:
    """Return the pictures of these names: those of a directory are either all packed or none."""
    packed = place.packed.get(place.path)
    return packed.chosen(names, place.uri) if packed else Files(place.path, place.uri, names)


def _parts(place: Place, root: _Listing) -> tuple[dict[str, _Classes], list[str]]:
    """Return the parts by name where the directory holds one for each part; else none of them."""
    parts: dict[str, _Classes] = {}
    notes = []
    words = _part_words(root.directories)
    for name in root.directories:
        part, child = words.get(name), place.child(name)
        if not part:
            notes.append(f"{child.uri} is left out")
            continue
        listing = _listed(child)
        classes = _classes_below(child, listing)
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


def _part_words(names: list[str]) -> dict[str, str]:
    """Return the parts that directories are named by, such as train, or seg_train and seg_test."""
    plain = {name: PART_WORDS[name.lower()] for name in names if name.lower() in PART_WORDS}
    said = {name: set_and_part(name) for name in names}
    longer = {name: part for name, (_, part) in said.items() if part}
    alike = len({said[name][0] for name in longer}) == 1 and {"train", "test"} <= set(longer.values())
    return longer if alike and not plain else plain


def _classes_below(place: Place, listing: _Listing) -> _Classes | None:
    """Return a part's pictures by class; its directory may hold only one that holds those of the classes."""
    classes = _classes(place, listing)
    if classes or listing.pictures or len(listing.directories) != 1:
        return classes
    inner = place.child(listing.directories[0])
    return _classes(inner, _listed(inner))


def _classes(place: Place, root: _Listing) -> _Classes | None:
    """Return the pictures by class where the directory holds a directory for each."""
    listings = {name: _listed(place.child(name)) for name in root.directories}
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
    files = {name: _files(place.child(name), filled[name].pictures) for name in filled}
    classes = _Classes(place, files, others, [name for name in listings if name not in filled])
    require_within(classes.count, MOST_FILES, f"{place.uri}: the number of pictures", "give a part of them")
    return classes


def _require_classes(classes: _Classes) -> None:
    """Refuse pictures in directories of parts; a class may have a part's name beside others."""
    if len(classes.files) == 1:
        raise PipelineError(
            f"{classes.place.uri} must hold a directory for each of at least two classes but only "
            f"{next(iter(classes.files))} has pictures: sort these into directories of classes, or add others."
        )
    if {name.lower() for name in classes.files} <= PART_WORDS.keys():
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


def _jobs(parts: Iterable[_Classes], most: int) -> list[Files | Members]:
    """Return the files of all parts in order, at most so many at a time."""
    jobs, place = [], 0
    for files in (files for classes in parts for files in classes.files.values()):
        for start in range(0, len(files), most):
            jobs.append(files.some(start, start + most, place))
            place += len(jobs[-1])
    return jobs
