"""Figures on how far a model can be trusted: calibration, rejection, robustness."""

import numpy as np
from matplotlib.figure import Figure

from components.evaluate.calibration import Reliability
from components.evaluate.metrics import wilson_interval
from components.evaluate.robustness import RobustnessCurve
from components.evaluate.selective import Selective


def reliability_diagram(before: Reliability, after: Reliability) -> Figure:
    """Accuracy against confidence with 95% intervals, without and with temperature; below, where the images are."""
    figure = Figure(figsize=(8.6, 4.6))
    top, below = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=[3, 1])
    titles = ("As trained", "With temperature, as registered")
    for axes, counts, scores, title, colour in zip(
        top, below, (before, after), titles, ("C5", "C0"), strict=True
    ):
        axes.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
        for entry in scores.bins:
            interval = wilson_interval(round(entry.accuracy * entry.examples), entry.examples)
            axes.plot([entry.confidence] * 2, interval, color=colour, linewidth=1.5, alpha=0.6)
        confidence = [entry.confidence for entry in scores.bins]
        accuracy = [entry.accuracy for entry in scores.bins]
        axes.plot(confidence, accuracy, "o-", color=colour, markersize=5, linewidth=1.2)
        axes.set_title(f"{title}: ECE {scores.ece:.4f}")
        axes.grid()
        counts.bar(
            [(entry.low + entry.high) / 2 for entry in scores.bins],
            [entry.examples for entry in scores.bins],
            width=0.055,
            color=colour,
        )
        counts.set_yscale("log")
        counts.set_xlabel("Top probability")
    top[0].set_ylabel("Accuracy")
    below[0].set_ylabel("Images")
    return figure


def coverage_curve(selective: Selective, errors: int) -> Figure:
    """Mistakes left against the part of the images that is answered."""
    figure = Figure(figsize=(7.2, 3.4))
    axes = figure.subplots()
    coverage, accuracy = np.array(selective.coverage), np.array(selective.accuracy)
    axes.plot(coverage * 100, (1 - accuracy) * 100, color="C0", linewidth=1.8)
    share = np.interp(selective.threshold_coverage, coverage, 1 - accuracy)
    axes.plot(selective.threshold_coverage * 100, share * 100, "o", color="C1", markersize=8)
    axes.annotate(
        f"threshold {selective.threshold:.3f}:\n{selective.accepted:,} answered, "
        f"{selective.accepted_errors} of {errors} mistakes left",
        (selective.threshold_coverage * 100, share * 100),
        (-14, 14),
        textcoords="offset points",
        ha="right",
        fontsize=9,
    )
    reached = np.flatnonzero(accuracy < 1)
    axes.set_xlim(max(0.0, coverage[reached[0]] * 100 - 5) if len(reached) else 0, 100.3)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Images answered, %")
    axes.set_ylabel("Mistakes among them, %")
    axes.grid()
    return figure


def robustness_curves(models: dict[str, tuple[list[RobustnessCurve], str]]) -> Figure:
    """One panel a corruption; each model with its colour."""
    curves = next(iter(models.values()))[0]
    figure = Figure(figsize=(9.0, 4.6))
    panels = figure.subplots(2, 3, sharey=True).flat
    for number, (axes, curve) in enumerate(zip(panels, curves, strict=False)):
        for name, (of_model, colour) in models.items():
            drawn = of_model[number]
            axes.plot(
                drawn.severities,
                drawn.accuracies,
                "s--" if name == "champion" else "o-",
                color=colour,
                markersize=4,
                label=name,
            )
        axes.set_title(curve.corruption.capitalize())
        axes.set_xlabel(curve.unit)
        axes.set_ylim(0, 1.03)
        axes.grid()
        if curve.severities[0] > curve.severities[-1]:
            axes.invert_xaxis()
    spare = figure.axes[len(curves)]
    spare.axis("off")
    spare.legend(*figure.axes[0].get_legend_handles_labels(), loc="center left", fontsize=10)
    for axes in (figure.axes[0], figure.axes[3]):
        axes.set_ylabel("Accuracy")
    return figure
