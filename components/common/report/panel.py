"""A figure of a report."""

from dataclasses import dataclass

from components.common.report.theme import Draw


@dataclass(frozen=True)
class Panel:
    """A figure with its texts.

    Attributes:
        name: Stem of its file, and its anchor in the report.
        title: Heading in the report.
        caption: Text below the figure.
        alt: Text for readers who cannot see the figure.
        draw: Draws the figure; `theme.render_figure` calls it once, in the report's style.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Draw
