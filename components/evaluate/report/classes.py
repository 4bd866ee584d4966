"""Figures of each class: confusion matrix, ROC curves, precision and recall."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, PowerNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from components.common.figures import drawn_names
from components.common.report.panel import Panel
from components.evaluate.metrics import Metrics, RocCurve
from components.evaluate.report.panel import ReportData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Number of classes up to which a confusion matrix shows counts, and up to which it shows every class.
MOST_COUNTED = 20
MOST_MAPPED = 100
# Number of names at an axis.
MOST_TICKS = 50
# Colour and line style of the classes with the lowest scores; all other classes are grey.
LOWEST = (("C3", "-"), ("C4", "--"), ("C5", "-."))


def confusion_matrix(data: ReportData) -> Panel:
    """Show how many test images of each class are taken for which class."""
    metrics, size = data.evaluation.candidate_metrics, len(data.names)
    shown = _mapped_classes(metrics)
    counts = metrics.confusion_matrix(shown)
    names = drawn_names(data.evaluation.spec, longest=16)
    most_frequent = "There is no mistake."
    for pair in metrics.confused_pairs(1):
        truth, predicted = data.names[pair.truth], data.names[pair.predicted]
        most_frequent = f"The most frequent mistake: {truth} taken for {predicted}, count {pair.count}."
    part = "" if len(shown) == size else f"The {len(shown)} of {size:,} classes with the most mistakes. "
    draw = _draw_counts if size <= MOST_COUNTED else _draw_map
    return Panel(
        name="confusion_matrix",
        title="Confusion matrix",
        caption=f"{part}Test images by true and predicted class; mistakes are coloured. {most_frequent}",
        alt=f"Confusion matrix of {size} classes: {metrics.examples - metrics.errors} of "
        f"{metrics.examples} images lie on the diagonal. {most_frequent}",
        draw=lambda: draw(counts, [names[label] for label in shown]),
    )


def _mapped_classes(metrics: Metrics) -> list[int]:
    """Return the classes that the matrix shows: all, or the 100 with the most mistakes."""
    mistakes = np.zeros(len(metrics.classes), np.int64)
    for truth, predicted, count in metrics.confusion:
        if truth != predicted:
            mistakes[[truth, predicted]] += count
    return sorted(np.argsort(-mistakes, kind="stable")[:MOST_MAPPED].tolist())


def _draw_counts(counts: NDArray[np.int64], names: list[str]) -> Figure:
    size = len(counts)
    figure = Figure(figsize=(2.4 + 0.36 * size, 2.2 + 0.36 * size))
    axes = figure.subplots()
    _draw_cells(axes, counts, most=max(_most_frequent(counts), 1))
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks(np.arange(-0.5, size), minor=True)
    axes.set_yticks(np.arange(-0.5, size), minor=True)
    axes.grid(which="minor")
    _name_axes(axes, names)
    return figure


def _draw_map(counts: NDArray[np.int64], names: list[str]) -> Figure:
    """Colour the mistakes by their number, and leave the correct answers grey."""
    figure = Figure(figsize=(8.2, 7.4))
    axes = figure.subplots()
    diagonal = np.eye(len(counts), dtype=bool)
    # Transparent colours, which suit a light and a dark page.
    right = np.ma.masked_array(np.ones(counts.shape), ~diagonal)
    axes.imshow(right, cmap=ListedColormap([(0.5, 0.5, 0.5, 0.3)]), interpolation="none")
    orange = LinearSegmentedColormap.from_list("mistakes", [to_rgba("C1", 0.15), to_rgba("C1", 1.0)])
    wrong = np.ma.masked_array(counts, diagonal | (counts == 0))
    # By the square root a single mistake stays visible beside many.
    scale = PowerNorm(0.5, 0, max(_most_frequent(counts), 1))
    drawn = axes.imshow(wrong, cmap=orange, norm=scale, interpolation="none")
    bar = figure.colorbar(drawn, shrink=0.6, label="Images taken for another class")
    bar.locator = MaxNLocator(integer=True)
    bar.outline.set_visible(False)
    _name_axes(axes, names)
    return figure


def _most_frequent(counts: NDArray[np.int64]) -> int:
    return int((counts * ~np.eye(len(counts), dtype=bool)).max())


def _name_axes(axes: "Axes", names: list[str]) -> None:
    """Name rows and columns: every one, or every second, third, ... of many."""
    named = range(0, len(names), -(-len(names) // MOST_TICKS))
    texts = [names[place] for place in named]
    size = None if len(names) <= MOST_COUNTED else max(5.5, 9 - len(named) / 15)
    angle = 90 if max(map(len, texts)) > 2 or len(texts) > MOST_COUNTED else 0
    axes.set_xticks(named, texts, fontsize=size, rotation=angle)
    axes.set_yticks(named, texts, fontsize=size)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")


def _draw_cells(axes: "Axes", counts: NDArray[np.int64], most: int) -> None:
    """Write the counts, and colour the mistakes; `most` is the highest count of a mistake.

    The diagonal stays white: its counts are so high that no mistake would be visible beside them.
    """
    for (truth, predicted), count in np.ndenumerate(counts):
        if count and truth != predicted:
            # Light enough that the count stays readable, dark enough that a single mistake is visible.
            shade = 0.12 + 0.4 * count / most
            cell = (predicted - 0.5, truth - 0.5)
            axes.add_patch(Rectangle(cell, 1, 1, facecolor="C1", alpha=shade, linewidth=0))
        if count:
            axes.text(predicted, truth, str(count), ha="center", va="center", fontsize=9)


def roc(data: ReportData) -> Panel | None:
    """Show one-vs-rest ROC curves, whole and with the low false positive rates on a logarithmic axis.

    None where all test images are of one class.
    """
    metrics, titles = data.evaluation.candidate_metrics, data.titles()
    if metrics.macro_auc is None:
        return None

    def draw() -> Figure:
        figure = Figure(figsize=(8.6, 4.0))
        whole, corner = figure.subplots(1, 2)
        for axes in (whole, corner):
            _draw_roc_curves(axes, metrics.class_roc, titles)
            axes.set_xlabel("False positive rate")
            axes.grid()
        whole.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
        whole.set_ylabel("True positive rate")
        whole.set_title("Whole range")
        corner.set_title("Rare false positives (log scale)")
        corner.set_xscale("log")
        corner.set_xlim(0.5 / metrics.examples, 1)
        corner.legend(loc="lower right", fontsize=9, title="AUC", alignment="left")
        return figure

    return Panel(
        name="roc",
        title="ROC curves",
        caption=f"One class against the rest. {_named(metrics.class_roc, 'smallest area under the curve')}"
        f"The mean area is {metrics.macro_auc:.5f}{metrics.over}.",
        alt=f"One-vs-rest ROC curves of {sum(map(bool, metrics.class_roc))} classes; macro-averaged area "
        f"{metrics.macro_auc:.5f}.",
        draw=draw,
    )


def _named(curves: Sequence[object | None], why: str) -> str:
    """Say which curves have a name, unless all have."""
    if sum(curve is not None for curve in curves) <= len(LOWEST):
        return ""
    return f"The three classes with the {why} are named, the others grey. "


def _draw_roc_curves(axes: "Axes", class_roc: list[RocCurve | None], titles: list[str]) -> None:
    curves = {label: curve for label, curve in enumerate(class_roc) if curve}
    ranked = sorted(curves, key=lambda label: curves[label].auc)
    for label in ranked[len(LOWEST) :]:
        _draw_roc_curve(axes, curves[label], "gray", "-", None)
    for label, (colour, dashes) in zip(ranked, LOWEST, strict=False):
        _draw_roc_curve(axes, curves[label], colour, dashes, f"{titles[label]}: {curves[label].auc:.5f}")


def _draw_roc_curve(axes: "Axes", curve: RocCurve, colour: str, dashes: str, label: str | None) -> None:
    axes.plot(
        curve.false_positive_rate,
        curve.true_positive_rate,
        color=colour,
        linestyle=dashes,
        linewidth=1.7 if label else 0.7,
        label=label,
        drawstyle="steps-post",
    )


def precision_recall(data: ReportData) -> Panel | None:
    """Show one-vs-rest precision-recall curves, in the range where both are high; None where there is none."""
    metrics, titles = data.evaluation.candidate_metrics, data.titles()
    curves = {label: curve for label, curve in enumerate(metrics.class_pr) if curve}
    if not curves:
        return None
    mean = float(np.mean([curve.average_precision for curve in curves.values()]))

    def draw() -> Figure:
        figure = Figure(figsize=(7.2, 3.8))
        axes = figure.subplots()
        ranked = sorted(curves, key=lambda label: curves[label].average_precision)
        for label in ranked[len(LOWEST) :]:
            axes.plot(curves[label].recall, curves[label].precision, color="gray", linewidth=0.7)
        for label, (colour, dashes) in zip(ranked, LOWEST, strict=False):
            curve = curves[label]
            name = f"{titles[label]}: {curve.average_precision:.5f}"
            axes.plot(curve.recall, curve.precision, dashes, color=colour, linewidth=1.7, label=name)
        low = min(entry.recall * 0.9 for entry in metrics.classes if entry.recall is not None)
        axes.set_xlim(low, 1.002)
        axes.set_ylim(low, 1.002)
        axes.set_xlabel("Recall")
        axes.set_ylabel("Precision")
        axes.legend(loc="lower left", fontsize=9, title="Average precision", alignment="left")
        axes.grid()
        return figure

    return Panel(
        name="precision_recall",
        title="Precision and recall",
        caption="One class against the rest, in the range where both are high. "
        f"{_named(metrics.class_pr, 'lowest average precision')}The mean is {mean:.5f}.",
        alt=f"One-vs-rest precision-recall curves of {len(curves)} classes; mean average precision "
        f"{mean:.5f}.",
        draw=draw,
    )
