"""Style of the figures on a light and on a dark page; colours after Okabe and Ito, safe for colour blindness."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[], "Figure"]

INK, MUTED, PAPER = "#1b1f24", "#6a737d", "#ffffff"
# The first three colours are for models (`MODEL_COLOURS`), the others for classes.
CYCLE = ("#0072b2", "#d55e00", "#00795a", "#b03a86", "#3d8fc4", "#8c6d00")
# A model has the same colour in every figure.
MODEL_COLOURS = {"baseline": "C0", "tuned": "C1", "champion": "C2"}
# The colour on a dark page for each colour on a light page.
DARK = {
    INK: "#e6e8eb",
    MUTED: "#98a1ab",
    PAPER: "#16191d",
    **dict(zip(CYCLE, ("#56b4e9", "#f0a13a", "#2bc79a", "#e29bc4", "#9ad3f5", "#e8d14f"), strict=True)),
}
_STYLE = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": MUTED,
    "grid.alpha": 0.25,
    "legend.labelcolor": INK,
    "patch.edgecolor": MUTED,
    "lines.color": MUTED,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "axes.prop_cycle": f"cycler('color', {list(CYCLE)})",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "svg.hashsalt": "report",  # the same figure gives the same bytes
}


@dataclass(frozen=True)
class Rendered:
    """A figure as SVG for a light and for a dark page."""

    light: bytes
    dark: bytes


def render_figure(draw: Draw) -> Rendered:
    """Draw a figure once; the SVG for the dark page is the same with its colours replaced."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    svg = io.BytesIO()
    with rc_context(_STYLE):
        figure = draw()
        # One layout, and one drawing: `savefig` would draw twice.
        ConstrainedLayoutEngine(wspace=0.06).execute(figure)
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
    light = svg.getvalue()
    dark = light.decode()
    for colour, counterpart in DARK.items():
        dark = dark.replace(colour, counterpart)
    return Rendered(light, dark.encode())
