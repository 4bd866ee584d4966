"""Targets of fuzzing, and the promises that they are held to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from components.common.data.spec import ImageSpec
from components.common.errors import StatedError

# A password or a signature in an address; it must be in no output.
CANARY = "c4nary"
SPEC = ImageSpec(8, 8, 1, ("a", "b"))


class PropertyError(Exception):
    """A promise about an answer is broken."""


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        name: What it reads.
        modules: The modules of the parser, whose lines are counted.
        cases: How many are tried.
        make: Draws an input.
        use: Reads it, in an empty directory where it needs one.
        refusals: Errors that are an answer.
    """

    name: str
    modules: tuple[str, ...]
    cases: int
    make: Callable[[Random], Any]
    use: Callable[[Any, Path], object]
    refusals: tuple[type[Exception], ...] = (StatedError,)
    files: bool = False


def promise(kept: bool, what: str) -> None:
    """Raise `PropertyError` where a promise is broken."""
    if not kept:
        raise PropertyError(what)
