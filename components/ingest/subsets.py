"""Names of files that say which part of which data set they hold, and the choice of one data set among several."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from components.common.errors import PipelineError

T = TypeVar("T")
# Files by data set and part.
FileSets = dict[str, dict[str, list[Path]]]
PART_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "t10k": "test",
}
# What the data set is called whose files are named by their part alone.
PLAIN = "plain"
_PART = re.compile(rf"(?:^|(?<=[^a-z0-9]))({'|'.join(PART_WORDS)})(?=[^a-z0-9]|$)", re.IGNORECASE)
# Of the third of 30 files: train-00002-of-00030-0123456789abcdef.
_SHARD = re.compile(r"[-_.]?\d+-of-\d+(-[0-9a-f]{16})?$")
# What says no more than the number of a file, as of Spark's: part-00000-0123-c000.snappy.
_NUMBER = re.compile(r"\d*|part-\d{5}\b.*")


def set_and_part(stem: str) -> tuple[str, str | None]:
    """Return the data set and the part that a file's name says.

    Args:
        stem: Name of the file without its ending, such as "emnist-letters-train".

    Returns:
        The data set, "plain" where the part is all that the name says; and the part, None where there is none.
    """
    stem = _SHARD.sub("", stem)
    found = _PART.search(stem)
    part = PART_WORDS[found[1].lower()] if found else None
    rest = f"{stem[: found.start()]} {stem[found.end() :]}" if found else stem
    rest = rest.strip("-_. ").replace(" ", "") if found else rest
    return PLAIN if _NUMBER.fullmatch(rest) else rest, part


def files_by_part(files: Iterable[Path], suffixes: tuple[str, ...]) -> tuple[FileSets, list[Path]]:
    """Sort the files of a directory into data sets and parts.

    Files whose names say no part are left over where others do; else each is a data set's training part.

    Args:
        files: The files.
        suffixes: Endings of the names that count, longest first.

    Returns:
        The files, in order, by data set and part; and those left over.
    """
    named: FileSets = {}
    nameless: FileSets = {}
    for path in sorted(files):
        suffix = next((ending for ending in suffixes if path.name.lower().endswith(ending)), None)
        if suffix is None or path.name.startswith("."):
            continue
        data_set, part = set_and_part(path.name[: -len(suffix)])
        sets = named if part else nameless
        sets.setdefault(data_set, {}).setdefault(part or "train", []).append(path)
    if not named:
        return nameless, []
    return named, [path for parts in nameless.values() for paths in parts.values() for path in paths]


def chosen_subset(sets: Mapping[str, T], subset: str | None, uri: str) -> tuple[str, T]:
    """Return the name and content of the data set that `data.subset` names, or of the only one.

    Args:
        sets: The data sets by name, at least one.
        subset: Value of `data.subset`.
        uri: What holds them.

    Raises:
        PipelineError: There are several and none is chosen, or there is none of this name.
    """
    listed = ", ".join(sorted(sets))
    if subset is not None:
        if subset in sets:
            return subset, sets[subset]
        raise PipelineError(
            f"data.subset must be a data set of {uri} but is {subset!r}: set it to one of {listed}."
        )
    if len(sets) > 1:
        raise PipelineError(
            f"{uri} must hold one data set but holds {listed}: set data.subset to one of them."
        )
    return next(iter(sets.items()))
