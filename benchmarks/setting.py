"""Input and result of a benchmark."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Setting:
    """Where to measure, and how much.

    Attributes:
        work: Directory for what the benchmark writes.
        data: "mnist", or "digits" for the bundled digits.
        development: Prepared data with the splits train and validation.
        test: Prepared data with the split test.
        quick: A check that all of it works; the figures are of too little work to compare.
    """

    work: Path
    data: str
    development: Path
    test: Path
    quick: bool


@dataclass(frozen=True)
class Floor:
    """A promise: what was measured must be at least, or at most, the limit."""

    name: str
    measured: float
    limit: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass(frozen=True)
class Result:
    """What one benchmark found.

    Attributes:
        title: Heading in the page.
        explanation: What was measured and how.
        columns: Heads of the table.
        rows: Cells of the table, as they are shown.
        floors: Promises that this benchmark decides.
        figures: The measurements themselves, as JSON values.
        commit: The code that was measured.
    """

    title: str
    explanation: str
    columns: list[str]
    rows: list[list[str]]
    floors: list[Floor] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    commit: str = ""


Results = dict[str, Result]
Benchmark = Callable[[Setting, Results], Result]
