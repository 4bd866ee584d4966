"""The figures of the report. They take their colours from the style they are drawn in, see `theme`."""

from operator import itemgetter
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from components.common.model.training_record import Training
from components.evaluate.metrics import Metrics, RocCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"baseline": "C0", "tuned": "C1", "champion": "C2"}
NAMED_ROC_CLASSES = 3
# How many times the width of all intervals a reference value may lie away from them.
MARK_REACH = 4
TOP = -0.8

Align = Literal["left", "center", "right"]


def accuracies(models: dict[str, Metrics], marks: dict[str, float]) -> Figure:
    """Accuracy of each model with its 95% interval, and reference values where they lie near enough."""
    figure = Figure(figsize=(7.2, 1.2 + 0.42 * len(models)))
    axes = figure.subplots()
    for row, (name, metrics) in enumerate(models.items()):
        axes.plot(metrics.accuracy_interval, [row, row], color=COLOURS[name], linewidth=2.5)
        axes.plot(metrics.accuracy, row, "o", color=COLOURS[name], markersize=8)
        _note(axes, f"{metrics.accuracy:.4f}", (metrics.accuracy, row), (0, 8), "center")
    axes.set_yticks(range(len(models)), list(models))
    axes.set_ylim(len(models) - 0.5, TOP)
    bounds = [bound for metrics in models.values() for bound in metrics.accuracy_interval]
    far = _draw_marks(axes, marks, (min(bounds), max(bounds)))
    axes.set_xlabel("Test accuracy with 95% interval" + "".join(f"; {mark} is off the scale" for mark in far))
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def _draw_marks(axes: "Axes", marks: dict[str, float], span: tuple[float, float]) -> list[str]:
    """Draw the reference values near the span of all intervals, and return the others."""
    low, high = span
    reach = MARK_REACH * (high - low)
    named = {f"{name} {value:g}": value for name, value in sorted(marks.items(), key=itemgetter(1))}
    near = [name for name, value in named.items() if low - reach <= value <= high + reach]
    for name in near:
        axes.axvline(named[name], color="gray", linestyle=(0, (4, 3)), linewidth=1.2)
        # The lower label ends where the higher one begins, however close they are.
        _note(axes, name, (named[name], TOP), (0, 3), "left" if name == near[-1] else "right")
    return [name for name in named if name not in near]


def _note(
    axes: "Axes", text: str, at: tuple[float, float], offset: tuple[float, float], align: Align
) -> None:
    axes.annotate(text, at, offset, textcoords="offset points", ha=align, fontsize=9)


def confusion_matrix(metrics: Metrics) -> Figure:
    """Counts; only mistakes are coloured, since the diagonal would drown them."""
    counts = np.array(metrics.confusion)
    most = max(int((counts * ~np.eye(10, dtype=bool)).max()), 1)
    figure = Figure(figsize=(6.0, 5.8))
    axes = figure.subplots()
    for (truth, predicted), count in np.ndenumerate(counts):
        if count and truth != predicted:
            # A single mistake already stands out from the page, and ink stays readable on the most frequent one.
            shade = 0.12 + 0.4 * count / most
            cell = (predicted - 0.5, truth - 0.5)
            axes.add_patch(Rectangle(cell, 1, 1, facecolor="C1", alpha=shade, linewidth=0))
        if count:
            axes.text(predicted, truth, str(count), ha="center", va="center", fontsize=9)
    axes.set_xlim(-0.5, 9.5)
    axes.set_ylim(9.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    axes.set_xticks(np.arange(-0.5, 10), minor=True)
    axes.set_yticks(np.arange(-0.5, 10), minor=True)
    axes.grid(which="minor")
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    return figure


def roc_curves(metrics: Metrics) -> Figure:
    """One-vs-rest curves, whole and with the rare false positives stretched by a logarithmic axis."""
    figure = Figure(figsize=(8.6, 4.0))
    whole, corner = figure.subplots(1, 2)
    for axes in (whole, corner):
        _draw_roc(axes, metrics)
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


def _draw_roc(axes: "Axes", metrics: Metrics) -> None:
    curves = {label: curve for label, curve in enumerate(metrics.class_roc) if curve}
    ranked = sorted(curves, key=lambda label: curves[label].auc)
    for label in ranked[NAMED_ROC_CLASSES:]:
        _draw_curve(axes, curves[label], "gray", "-", None)
    for label, colour, dashes in zip(ranked, ("C3", "C4", "C5"), ("-", "--", "-."), strict=False):
        _draw_curve(axes, curves[label], colour, dashes, f"class {label}: {curves[label].auc:.5f}")


def _draw_curve(axes: "Axes", curve: RocCurve, colour: str, dashes: str, label: str | None) -> None:
    axes.plot(
        curve.false_positive_rate,
        curve.true_positive_rate,
        color=colour,
        linestyle=dashes,
        linewidth=1.7 if label else 0.7,
        label=label,
        drawstyle="steps-post",
    )


def precision_recall_curves(metrics: Metrics) -> Figure:
    """One-vs-rest curves, the corner where both are high."""
    figure = Figure(figsize=(7.2, 3.8))
    axes = figure.subplots()
    curves = {label: curve for label, curve in enumerate(metrics.class_pr) if curve}
    ranked = sorted(curves, key=lambda label: curves[label].average_precision)
    for label in ranked[NAMED_ROC_CLASSES:]:
        axes.plot(curves[label].recall, curves[label].precision, color="gray", linewidth=0.7)
    for label, colour, dashes in zip(ranked, ("C3", "C4", "C5"), ("-", "--", "-."), strict=False):
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


def learning_curves(trainings: dict[str, Training]) -> Figure:
    """Loss and accuracy by epoch: validation solid, training dashed."""
    figure = Figure(figsize=(8.6, 3.6))
    panels = figure.subplots(1, 2)
    for axes, key, title in zip(panels, ("loss", "accuracy"), ("Loss", "Accuracy"), strict=True):
        for name, training in trainings.items():
            epochs = [epoch.epoch for epoch in training.history]
            for prefix, dashes, part in (("val_", "-", "validation"), ("", "--", "training")):
                values = [getattr(epoch, prefix + key) for epoch in training.history]
                axes.plot(
                    epochs,
                    values,
                    dashes,
                    marker="o",
                    markersize=4,
                    color=COLOURS[name],
                    label=f"{name}, {part}",
                )
        axes.set_title(title)
        axes.set_xlabel("Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
    panels[0].legend(fontsize=9)
    return figure


def image_grid(images: NDArray[np.uint8], captions: list[str], columns: int) -> Figure:
    """Grey images, N x 28 x 28, each under its caption."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.4 * columns, 1.75 * rows))
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, image, caption in zip(figure.axes, images, captions, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="none")
        axes.set_title(caption, fontsize=10, fontweight="normal", loc="center")
    return figure
