"""Self-contained pages of a report: templates of a step, with the style and the figures that all reports share."""

import base64
from collections.abc import Callable, Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from components.common.report.panel import Panel
from components.common.report.theme import Rendered

# A figure, and how it looks.
Drawn = tuple[Panel, Rendered]
# The figure, and its SVG for a light and for a dark page as addresses that hold the data.
Inlined = tuple[Panel, str, str]


def page_templates(directory: Path, markdown: Callable[[object], str] | None = None) -> Environment:
    """Return the templates of a directory, which may use the shared ones; in HTML every value is escaped.

    Args:
        directory: Directory of a step's templates.
        markdown: Escapes the values where the pages are Markdown.
    """
    return Environment(
        loader=FileSystemLoader([directory, Path(__file__).with_name("templates")]),
        autoescape=markdown is None,  # noqa: S701  # what stands in Markdown is escaped by `finalize`
        finalize=markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def inlined(drawn: Iterable[Drawn]) -> list[Inlined]:
    """Return figures for the template `figure.html`; each is inlined twice, for a light and for a dark page."""
    return [(panel, _data_uri(rendered.light), _data_uri(rendered.dark)) for panel, rendered in drawn]


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
