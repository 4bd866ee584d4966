"""Figures of each class: confusion matrix, ROC curves, precision and recall."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from components.evaluate.metrics import RocCurve
from components.evaluate.report.panel import Panel, ReportData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colour and line style of the classes with the lowest scores; all other classes are grey.
LOWEST = (("C3", "-"), ("C4", "--"), ("C5", "-."))


def confusion_matrix(data: ReportData) -> Panel:
    """Show how many test images of each class are taken for which class."""
    metrics = data.evaluation.candidate_metrics
    counts = np.array(metrics.confusion)
    mistakes = counts * ~np.eye(len(counts), dtype=bool)
    truth, predicted = np.unravel_index(mistakes.argmax(), mistakes.shape)
    most_frequent = (
        f"The most frequent mistake: {truth} taken for {predicted}, count {mistakes.max()}."
        if metrics.errors
        else "There is no mistake."
    )

    def draw() -> Figure:
        figure = Figure(figsize=(6.0, 5.8))
        axes = figure.subplots()
        _draw_cells(axes, counts, most=max(int(mistakes.max()), 1))
        size = len(counts)
        axes.set_xlim(-0.5, size - 0.5)
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.set_xticks(range(size))
        axes.set_yticks(range(size))
        axes.set_xticks(np.arange(-0.5, size), minor=True)
        axes.set_yticks(np.arange(-0.5, size), minor=True)
        axes.grid(which="minor")
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("Predicted class")
        axes.set_ylabel("True class")
        return figure

    return Panel(
        name="confusion_matrix",
        title="Confusion matrix",
        caption=f"Test images by true and predicted class; mistakes are coloured. {most_frequent}",
        alt=f"Confusion matrix of {len(counts)} classes: {metrics.examples - metrics.errors} of "
        f"{metrics.examples} images lie on the diagonal. {most_frequent}",
        draw=draw,
    )


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


def roc(data: ReportData) -> Panel:
    """Show one-vs-rest ROC curves, whole and with the low false positive rates on a logarithmic axis."""
    metrics = data.evaluation.candidate_metrics

    def draw() -> Figure:
        figure = Figure(figsize=(8.6, 4.0))
        whole, corner = figure.subplots(1, 2)
        for axes in (whole, corner):
            _draw_roc_curves(axes, metrics.class_roc)
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
        caption="One class against the rest. The three classes with the smallest area under the curve are named, "
        f"the others grey; the mean area is {metrics.macro_auc:.5f}.",
        alt=f"One-vs-rest ROC curves of {len(metrics.class_roc)} classes; macro-averaged area "
        f"{metrics.macro_auc:.5f}.",
        draw=draw,
    )


def _draw_roc_curves(axes: "Axes", class_roc: list[RocCurve | None]) -> None:
    curves = {label: curve for label, curve in enumerate(class_roc) if curve}
    ranked = sorted(curves, key=lambda label: curves[label].auc)
    for label in ranked[len(LOWEST) :]:
        _draw_roc_curve(axes, curves[label], "gray", "-", None)
    for label, (colour, dashes) in zip(ranked, LOWEST, strict=False):
        _draw_roc_curve(axes, curves[label], colour, dashes, f"class {label}: {curves[label].auc:.5f}")


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


def precision_recall(data: ReportData) -> Panel:
    """Show one-vs-rest precision-recall curves, in the range where both are high."""
    metrics = data.evaluation.candidate_metrics
    curves = {label: curve for label, curve in enumerate(metrics.class_pr) if curve}
    mean = float(np.mean([curve.average_precision for curve in curves.values()]))

    def draw() -> Figure:
        figure = Figure(figsize=(7.2, 3.8))
        axes = figure.subplots()
        ranked = sorted(curves, key=lambda label: curves[label].average_precision)
        for label in ranked[len(LOWEST) :]:
            axes.plot(curves[label].recall, curves[label].precision, color="gray", linewidth=0.7)
        for label, (colour, dashes) in zip(ranked, LOWEST, strict=False):
            curve = curves[label]
            name = f"class {label}: {curve.average_precision:.5f}"
            axes.plot(curve.recall, curve.precision, dashes, color=colour, linewidth=1.7, label=name)
        low = min(entry.recall * 0.9 for entry in metrics.classes if entry.support)
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
        caption="One class against the rest, in the range where both are high. The three classes with the lowest "
        f"average precision are named, the others grey; the mean is {mean:.5f}.",
        alt=f"One-vs-rest precision-recall curves of {len(metrics.class_pr)} classes; mean average precision "
        f"{mean:.5f}.",
        draw=draw,
    )
