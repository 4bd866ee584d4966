"""Figures of the report on a window of requests."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.common.data.spec import ImageSpec
from components.common.figures import ImageGrid, drawn_names
from components.common.model.reference import Reference
from components.common.report.panel import Panel
from components.monitor.drift import TITLES, WindowValues
from components.monitor.result import Monitoring

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of a bar for each class.
MOST_CLASSES = 50
SHOWN_IMAGES = 12
# Part of a distribution that is drawn: an outlier would leave the rest no room.
DRAWN = (0.005, 0.995)
REFERENCE, REQUESTS = "C0", "C1"


@dataclass(frozen=True, eq=False)
class WindowData:
    """The data that figures may show.

    Attributes:
        found: The result.
        spec: Description of the images.
        reference: Of the version.
        window: What was measured of N requests.
        images: uint8, N x height x width x channels.
    """

    found: Monitoring
    spec: ImageSpec
    reference: Reference
    window: WindowValues
    images: NDArray[np.uint8]


def window_panels(data: WindowData) -> list[Panel]:
    """Return the panels of a window that was judged, the overview first."""
    classes = [answers(data)] if len(data.spec.classes) <= MOST_CLASSES else []
    return [distances(data), *classes, value_distributions(data), most_unlike(data)]


def distances(data: WindowData) -> Panel:
    """Show how far the requests are from the reference in each test."""
    from matplotlib.figure import Figure

    findings = data.found.findings
    tolerated = data.found.rules.tolerated

    def draw() -> "Figure":
        figure = Figure(figsize=(8.6, 0.9 + 0.32 * len(findings)))
        axes = figure.subplots()
        colours = [REQUESTS if finding.drifted else "gray" for finding in findings]
        places = range(len(findings))
        axes.barh(places, [finding.distance for finding in findings], color=colours, height=0.6)
        axes.set_yticks(places, [finding.title.replace("$", r"\$") for finding in findings])
        axes.invert_yaxis()
        axes.axvline(tolerated, color="gray", linestyle=(0, (4, 3)), linewidth=1.2)
        axes.set_xlabel(f"distance from the reference; dashed: {tolerated:g} is tolerated")
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return figure

    drifted = [finding.title for finding in findings if finding.drifted]
    return Panel(
        name="distances",
        title="Distances",
        caption="How far the requests are from the reference in each test, the clearest first; those that count as "
        "drift are coloured. A distance of distributions is the largest between their distribution functions, which a "
        "change of that share of the images can cause. A distance of shares is their difference.",
        alt=f"Distances of {len(findings)} tests; drift in: {', '.join(drifted) or 'none'}.",
        draw=draw,
    )


def answers(data: WindowData) -> Panel:
    """Show how often each class is the answer."""
    from matplotlib.figure import Figure

    names = drawn_names(data.spec, 12)
    before = data.reference.answered / data.reference.examples
    now = data.window.answered / max(1, len(data.window))

    def draw() -> "Figure":
        figure = Figure(figsize=(8.6, 3.2))
        axes = figure.subplots()
        places = np.arange(len(names))
        axes.bar(places - 0.2, before, width=0.4, color=REFERENCE, label="reference")
        axes.bar(places + 0.2, now, width=0.4, color=REQUESTS, label="requests")
        upright = sum(map(len, names)) <= 60
        axes.set_xticks(places, names, rotation=0 if upright else 90)
        axes.set_ylabel("share of the answers")
        axes.legend(fontsize=9)
        axes.grid(axis="y")
        return figure

    shares = ", ".join(
        f"{name} {share:.1%}" for name, share in zip(data.spec.classes, now.tolist(), strict=True)
    )
    return Panel(
        name="answers",
        title="Answers",
        caption="How often each class is the model's answer.",
        alt=f"Share of each class among the answers: {shares}.",
        draw=draw,
    )


def value_distributions(data: WindowData) -> Panel:
    """Show the distribution of each value of the images, and of the confidence."""
    from matplotlib.figure import Figure

    pairs = {"confidence": (data.reference.confidence, data.window.confidence)} | {
        name: (column, data.window.values[name]) for name, column in data.reference.values.items()
    }

    def draw() -> "Figure":
        rows = -(-len(pairs) // 4)
        figure = Figure(figsize=(8.6, 2.2 * rows))
        panels = figure.subplots(rows, 4, squeeze=False).ravel()
        for axes, (name, (before, now)) in zip(panels, pairs.items(), strict=False):
            _draw_steps(axes, before, now)
            axes.set_title(
                TITLES[name].replace(" of the ", "\nof the ").replace(" from ", "\nfrom "), fontsize=9
            )
        for axes in panels[len(pairs) :]:
            axes.set_visible(False)
        panels[0].legend(fontsize=8, loc="upper left")
        return figure

    return Panel(
        name="distributions",
        title="Distributions",
        caption="The share of images whose value is at most the one below: brightness and the like of each image, its "
        "distance from the usual shapes of the training images, and the top probability of its answer.",
        alt=f"Distribution functions of {len(pairs)} values, of the reference and of the requests.",
        draw=draw,
    )


def _draw_steps(axes: "Axes", before: NDArray[np.floating], now: NDArray[np.floating]) -> None:
    for values, colour, name in ((before, REFERENCE, "reference"), (now, REQUESTS, "requests")):
        axes.ecdf(values, color=colour, label=name, linewidth=1.5)
    ends = [np.quantile(values, end) for values in (before, now) for end in DRAWN]
    low, high = float(min(ends)), float(max(ends))
    axes.set_xlim(low, high if high > low else low + 1)
    axes.grid()
    axes.tick_params(labelsize=8)


def most_unlike(data: WindowData) -> Panel:
    """Show some images of the reference, and the requests that are most unlike it."""
    pictures = data.reference.pictures[:SHOWN_IMAGES]
    rows = np.argsort(-data.window.unlikeness, kind="stable")[:SHOWN_IMAGES]
    limit = data.reference.unlikeness_limit()
    unlike = int((data.window.unlikeness > limit).sum())

    def draw() -> "Figure":
        grid = ImageGrid((0.1, 0.3), SHOWN_IMAGES, data.spec.shape, width=0.68, left=0.3)
        grid.name_row(0, "reference")
        grid.name_row(1, "requests")
        for column, picture in enumerate(pictures):
            grid.show(0, column, picture)
        for column, row in enumerate(rows):
            grid.show(1, column, data.images[row], f"{data.window.unlikeness[row]:.1f}")
        return grid.figure

    return Panel(
        name="unlike",
        title="Images unlike the reference",
        caption="Above, images of the reference. Below, the requests that are most unlike it, with their unlikeness: "
        "the largest distance of one of their values from its median, where 1 is the distance of the 1% and the 99% "
        f"quantile. Above {limit:.1f} a request counts as unlike.",
        alt=f"Images of the reference, and the {len(rows)} requests most unlike it; {unlike} requests count as unlike.",
        draw=draw,
    )
