"""Figures of reliability: calibration, rejection, robustness."""

import numpy as np
from matplotlib.figure import Figure

from components.common.report.panel import Panel
from components.common.report.theme import MODEL_COLOURS
from components.evaluate.metrics import wilson_interval
from components.evaluate.report.panel import ReportData
from components.evaluate.robustness import mean_robustness


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
                interval = wilson_interval(round(entry.accuracy * entry.examples), entry.examples)
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
        "built into the registered model.",
        alt=f"Reliability diagrams: expected calibration error {before.ece:.4f} as trained, {after.ece:.4f} with "
        f"temperature; negative log likelihood {before.nll:.4f} and {after.nll:.4f}.",
        draw=draw,
    )


def coverage(data: ReportData) -> Panel:
    """Show the mistakes that remain by the share of the images that the model answers."""
    found, errors = data.evaluation.selective, data.evaluation.candidate_metrics.errors
    result = (
        f"at or above {found.threshold:.3f} the model answers {found.accepted:,} test images and makes "
        f"{found.accepted_errors} mistakes"
    )

    def draw() -> Figure:
        figure = Figure(figsize=(7.2, 3.4))
        axes = figure.subplots()
        answered, accuracy = np.array(found.coverage), np.array(found.accuracy)
        axes.plot(answered * 100, (1 - accuracy) * 100, color="C0", linewidth=1.8)
        share = np.interp(found.threshold_coverage, answered, 1 - accuracy)
        point = (found.threshold_coverage * 100, share * 100)
        axes.plot(*point, "o", color="C1", markersize=8)
        note = (
            f"threshold {found.threshold:.3f}:\n{found.accepted:,} answered, "
            f"{found.accepted_errors} of {errors} mistakes left"
        )
        reached = np.flatnonzero(accuracy < 1)
        first = max(0.0, answered[reached[0]] * 100 - 5) if len(reached) else 0
        axes.set_xlim(first, 100.3)
        # To the side that has room.
        side, align = (1, "left") if point[0] < (first + 100) / 2 else (-1, "right")
        axes.annotate(note, point, (14 * side, 14), textcoords="offset points", ha=align, fontsize=9)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("Images answered, %")
        axes.set_ylabel("Mistakes among them, %")
        axes.grid()
        return figure

    return Panel(
        name="coverage",
        title="Answering only when sure",
        caption="Mistakes left when the least sure images are rejected. The threshold was chosen on validation so "
        f"that 99.9% of what is accepted there is right; {result}.",
        alt=f"Coverage against mistakes: {result}, of {errors} without rejection.",
        draw=draw,
    )


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
