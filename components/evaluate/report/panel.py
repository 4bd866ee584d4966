"""A figure of the report, with its caption and with words for who cannot see it."""

from dataclasses import dataclass

from components.evaluate.report.theme import Draw


@dataclass(frozen=True)
class Panel:
    """A figure to draw; `name` is its file's stem."""

    name: str
    title: str
    caption: str
    alt: str
    draw: Draw
