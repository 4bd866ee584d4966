"""How figures look on a light and on a dark page; colours after Okabe and Ito, safe for colour blindness."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Style = dict[str, Any]
Draw = Callable[[], "Figure"]

# A model has one colour everywhere: C0 baseline, C1 tuned, C2 champion. The others are for classes.
_LIGHT_CYCLE = ["#0072B2", "#D55E00", "#00795A", "#B03A86", "#3D8FC4", "#8C6D00"]
_DARK_CYCLE = ["#56B4E9", "#F0A13A", "#2BC79A", "#E29BC4", "#9AD3F5", "#E8D14F"]


def _style(ink: str, muted: str, paper: str, colours: list[str], colour_map: str) -> Style:
    return {
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.edgecolor": muted,
        "xtick.color": muted,
        "ytick.color": muted,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "grid.color": muted,
        "grid.alpha": 0.25,
        "legend.labelcolor": ink,
        "patch.edgecolor": muted,
        "lines.color": muted,
        "figure.facecolor": paper,
        "axes.facecolor": paper,
        "axes.prop_cycle": f"cycler('color', {colours})",
        "image.cmap": colour_map,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.wspace": 0.06,
        "savefig.facecolor": "auto",
        "savefig.dpi": 200,
        "svg.hashsalt": "report",  # the same figure gives the same bytes
    }


LIGHT = _style("#1b1f24", "#6a737d", "#ffffff", _LIGHT_CYCLE, "Oranges")
DARK = _style("#e6e8eb", "#98a1ab", "#16191d", _DARK_CYCLE, "copper")


def render(draw: Draw, style: Style, image_format: str) -> bytes:
    """Draw a figure in a style, as "svg" or "png"."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    metadata = {"Date": None} if image_format == "svg" else None
    with rc_context(style):
        draw().savefig(buffer, format=image_format, metadata=metadata)
    return buffer.getvalue()
