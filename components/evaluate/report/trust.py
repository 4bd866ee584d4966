"""Figures of reliability: calibration, rejection, robustness."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from components.common.report.panel import Panel
from components.common.report.theme import MODEL_COLOURS
from components.evaluate.intervals import share_interval
from components.evaluate.report.panel import ReportData
from components.evaluate.robustness import mean_robustness
from components.evaluate.selective import Selective

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def calibration(data: ReportData) -> Panel:
    """Show accuracy by confidence with 95% intervals, without and with temperature; below, the numbers of images."""
    fitted, after = data.evaluation.calibration, data.evaluation.candidate_metrics.reliability
    before = fitted.uncalibrated

    def draw() -> Figure:
        figure = Figure(figsize=(8.6, 4.6))
        top, below = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=[3, 1])
        columns = (("As trained", before, "C5"), ("Calibrated, as registered", after, "C0"))
        for axes, counts, (title, scores, colour) in zip(top, below, columns, strict=True):
            axes.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
            for entry in scores.bins:
                interval = share_interval(round(entry.accuracy * entry.examples), entry.examples)
                axes.plot([entry.confidence] * 2, interval, color=colour, linewidth=1.5, alpha=0.6)
            points = zip(*((entry.confidence, entry.accuracy) for entry in scores.bins), strict=True)
            axes.plot(*points, "o-", color=colour, markersize=5, linewidth=1.2)
            axes.set_title(f"{title}: ECE {scores.ece:.4f}")
            axes.grid()
            centres = [(entry.low + entry.high) / 2 for entry in scores.bins]
            counts.bar(centres, [entry.examples for entry in scores.bins], width=0.055, color=colour)
            counts.set_yscale("log")
            counts.set_xlabel("Top probability")
        top[0].set_ylabel("Accuracy")
        below[0].set_ylabel("Images")
        return figure

    return Panel(
        name="reliability",
        title="Calibration",
        caption="Accuracy of the answers with a given top probability; on the dotted line the two are equal. One "
        f"temperature, {fitted.temperature:.3f}, fitted on {fitted.validation_examples:,} validation images, is "
        f"built into the registered model. The calibration error is {after.ece:.4f}. That of a perfectly calibrated "
        f"model would be {after.ece_by_chance:.4f} on average, and below {after.ece_by_chance_bound:.4f} in 95% of "
        f"cases: these images {'show' if after.miscalibrated else 'do not show'} that the model is miscalibrated.",
        alt=f"Reliability diagrams: expected calibration error {before.ece:.4f} as trained, {after.ece:.4f} with "
        f"temperature; negative log likelihood {before.nll:.4f} and {after.nll:.4f}.",
        draw=draw,
    )


def coverage(data: ReportData) -> Panel:
    """Show the mistakes that remain by the share of the images that the model answers."""
    found, errors = data.evaluation.selective, data.evaluation.candidate_metrics.errors

    def draw() -> Figure:
        figure = Figure(figsize=(7.2, 3.4))
        axes = figure.subplots()
        answered, accuracy = np.array(found.coverage), np.array(found.accuracy)
        axes.plot(answered * 100, (1 - accuracy) * 100, color="C0", linewidth=1.8)
        reached = np.flatnonzero(accuracy < 1)
        first = max(0.0, answered[reached[0]] * 100 - 5) if len(reached) else 0
        axes.set_xlim(first, 100.3)
        if found.accepted:
            _mark_threshold(axes, found, errors, first)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("Images answered, %")
        axes.set_ylabel("Mistakes among them, %")
        axes.grid()
        return figure

    return Panel(
        name="coverage",
        title="Answering only when sure",
        caption="Mistakes left when the least sure images are rejected. The threshold is to be chosen on validation "
        f"so that 99.9% of what is accepted there is right; {found.stated}.",
        alt=f"Coverage against mistakes: {found.stated}; {errors} mistakes without rejection.",
        draw=draw,
    )


def _mark_threshold(axes: "Axes", found: Selective, errors: int, first: float) -> None:
    """Mark what the threshold leaves; the axis begins at `first`, in percent of the images."""
    point = found.threshold_coverage * 100, found.accepted_errors / found.accepted * 100
    axes.plot(*point, "o", color="C1", markersize=8)
    note = (
        f"threshold {found.threshold:.3f}:\n{found.accepted:,} answered, "
        f"{found.accepted_errors} of {errors} mistakes left"
    )
    # To the side that has room.
    side, align = (1, "left") if point[0] < (first + 100) / 2 else (-1, "right")
    axes.annotate(note, point, (14 * side, 14), textcoords="offset points", ha=align, fontsize=9)


def robustness(data: ReportData) -> Panel:
    """Show the accuracy of candidate and champion by corruption and severity."""
    models = {str(data.evaluation.candidate): data.evaluation.profile.robustness}
    if data.evaluation.champion_profile:
        models["champion"] = data.evaluation.champion_profile.robustness
    means = ", ".join(f"{name} {mean_robustness(curves):.3f}" for name, curves in models.items())

    def draw() -> Figure:
        figure = Figure(figsize=(9.0, 4.6))
        corruptions = data.evaluation.profile.robustness
        panels = figure.subplots(2, 3, sharey=True).flat
        for number, (axes, curve) in enumerate(zip(panels, corruptions, strict=False)):
            for name, curves in models.items():
                line = "s--" if name == "champion" else "o-"
                style = {"color": MODEL_COLOURS[name], "markersize": 4, "label": name}
                axes.plot(curves[number].severities, curves[number].accuracies, line, **style)
            axes.set_title(curve.corruption.capitalize())
            axes.set_xlabel(curve.unit)
            axes.set_ylim(0, 1.03)
            axes.grid()
            if curve.severities[0] > curve.severities[-1]:
                axes.invert_xaxis()
        spare = figure.axes[len(corruptions)]
        spare.axis("off")
        spare.legend(*figure.axes[0].get_legend_handles_labels(), loc="center left", fontsize=10)
        for axes in (figure.axes[0], figure.axes[3]):
            axes.set_ylabel("Accuracy")
        return figure

    return Panel(
        name="robustness",
        title="Robustness",
        caption="Accuracy on up to 1,000 test images with corruptions of rising severity; with so few images, one "
        f"point of accuracy is noise. Mean over all corruptions: {means}.",
        alt=f"Accuracy under shift, rotation, noise, blur and loss of contrast; mean {means}.",
        draw=draw,
    )
