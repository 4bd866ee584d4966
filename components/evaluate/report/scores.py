"""Figures of the whole model: accuracy, learning curves."""

from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.common.plan.training import TUTORIAL_ACCURACY
from components.common.report.panel import Panel
from components.common.report.theme import MODEL_COLOURS
from components.evaluate.report.panel import ReportData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A reference value is drawn if it is at most this many times the width of all intervals away from them.
MARK_REACH = 4
# Upper end of the accuracy figure's axis, in rows.
TOP = -0.8

Align = Literal["left", "center", "right"]


def accuracy(data: ReportData) -> Panel:
    """Show each model's accuracy with its 95% interval, and the reference values near it."""
    evaluation = data.evaluation
    models = evaluation.models
    marks = {"minimum": evaluation.min_accuracy}
    if evaluation.dataset.name == "mnist":
        marks["tutorial"] = TUTORIAL_ACCURACY
    values = [
        f"{name} {metrics.accuracy:.4f}, "
        f"{metrics.accuracy_interval[0]:.4f} to {metrics.accuracy_interval[1]:.4f}"
        for name, metrics in models.items()
    ]

    def draw() -> Figure:
        figure = Figure(figsize=(7.2, 1.2 + 0.42 * len(models)))
        axes = figure.subplots()
        for row, (name, metrics) in enumerate(models.items()):
            axes.plot(metrics.accuracy_interval, [row, row], color=MODEL_COLOURS[name], linewidth=2.5)
            axes.plot(metrics.accuracy, row, "o", color=MODEL_COLOURS[name], markersize=8)
            _annotate(axes, f"{metrics.accuracy:.4f}", (metrics.accuracy, row), (0, 8), "center")
        axes.set_yticks(range(len(models)), list(models))
        axes.set_ylim(len(models) - 0.5, TOP)
        bounds = [bound for metrics in models.values() for bound in metrics.accuracy_interval]
        far = _draw_marks(axes, marks, (min(bounds), max(bounds)))
        axes.set_xlabel(
            "Test accuracy with 95% interval" + "".join(f"; {mark} is off the scale" for mark in far)
        )
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return figure

    return Panel(
        name="accuracy",
        title="Accuracy",
        caption="Test accuracy and its exact 95% interval. Intervals that overlap do not settle which model is "
        "better; the paired comparison below does.",
        alt=f"Test accuracies with 95% intervals: {'; '.join(values)}; minimum {evaluation.min_accuracy:.4g}.",
        draw=draw,
    )


def _draw_marks(axes: "Axes", marks: dict[str, float], span: tuple[float, float]) -> list[str]:
    """Draw the reference values near the span of all intervals, and return the names of the others."""
    low, high = span
    reach = MARK_REACH * (high - low)
    named = {f"{name} {value:.4g}": value for name, value in sorted(marks.items(), key=itemgetter(1))}
    near = [name for name, value in named.items() if low - reach <= value <= high + reach]
    for name in near:
        axes.axvline(named[name], color="gray", linestyle=(0, (4, 3)), linewidth=1.2)
        # Labels of close values must not overlap: the highest value's starts where the others end.
        _annotate(axes, name, (named[name], TOP), (0, 3), "left" if name == near[-1] else "right")
    return [name for name in named if name not in near]


def _annotate(
    axes: "Axes", text: str, at: tuple[float, float], offset: tuple[float, float], align: Align
) -> None:
    axes.annotate(text, at, offset, textcoords="offset points", ha=align, fontsize=9)


def learning_curves(data: ReportData) -> Panel:
    """Show loss and accuracy by epoch: validation solid, training dashed."""
    trainings, note = {"baseline": data.baseline, "tuned": data.tuned}, ""
    if data.evaluation.kept:
        trainings, note = (
            {"baseline": data.baseline},
            " The baseline is kept: the search found no better configuration.",
        )
    finals = [f"{name} {training.validation_accuracy:.4f}" for name, training in trainings.items()]

    def draw() -> Figure:
        figure = Figure(figsize=(8.6, 3.6))
        panels = figure.subplots(1, 2)
        for axes, key, title in zip(panels, ("loss", "accuracy"), ("Loss", "Accuracy"), strict=True):
            for name, training in trainings.items():
                epochs = [epoch.epoch for epoch in training.history]
                for prefix, dashes, part in (("val_", "-", "validation"), ("", "--", "training")):
                    values = [getattr(epoch, prefix + key) for epoch in training.history]
                    style = {"marker": "o", "markersize": 4, "color": MODEL_COLOURS[name]}
                    axes.plot(epochs, values, dashes, label=f"{name}, {part}", **style)
            axes.set_title(title)
            axes.set_xlabel("Epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid()
        panels[0].legend(fontsize=9)
        return figure

    return Panel(
        name="learning_curves",
        title="Learning curves",
        caption=f"Loss and accuracy after each epoch, on the training and the validation split.{note}",
        alt=f"Learning curves; validation accuracy at the end: {', '.join(finals)}.",
        draw=draw,
    )
