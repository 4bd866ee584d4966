"""EMNIST's data sets, whose images are stored with rows and columns exchanged: names of their classes."""

import string
from pathlib import Path

from components.common.errors import PipelineError

DIGITS = string.digits
# Small letters that look like capitals share their class.
MERGED = DIGITS + string.ascii_uppercase + "abdefghnqrt"
# By data set; a label is a place among these characters. The letters are counted from 1.
CLASSES = {
    "emnist-digits": DIGITS,
    "emnist-mnist": DIGITS,
    "emnist-letters": "\0" + string.ascii_lowercase,
    "emnist-balanced": MERGED,
    "emnist-bymerge": MERGED,
    "emnist-byclass": DIGITS + string.ascii_uppercase + string.ascii_lowercase,
}


def is_emnist(data_set: str) -> bool:
    """Return whether a data set is one of EMNIST's, by the name that its files start with."""
    return data_set.lower().startswith("emnist")


def emnist_classes(directory: Path, data_set: str) -> tuple[str, ...]:
    """Return the names of the classes of a data set of EMNIST: from its mapping file, or else as published.

    A label that no class has is an empty name; a class of a capital and a small letter is named by the small one.

    Args:
        directory: Directory that may hold the mapping file, such as emnist-letters-mapping.txt.
        data_set: Name that its files start with, such as "emnist-letters".

    Raises:
        PipelineError: The mapping file is no such file.
    """
    mapping = directory / f"{data_set}-mapping.txt"
    if not mapping.is_file():
        return tuple("" if name == "\0" else name for name in CLASSES.get(data_set.lower(), ""))
    try:
        # One line for each class: the label and the codes of its characters.
        lines = [
            [int(number) for number in line.split()] for line in mapping.read_text().splitlines() if line
        ]
        names = {line[0]: chr(line[1:][-1]) for line in lines}
        return tuple(names.get(label, "") for label in range(max(names) + 1))
    except (ValueError, IndexError, OverflowError) as error:
        raise PipelineError(
            f"{mapping} must hold a label and the codes of its characters in each line but does not: fetch it again."
        ) from error
