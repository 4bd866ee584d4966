"""The figures of the report, in order.

To add a figure, write a function that takes `ReportData` and returns a `Panel`, and add it to `FIGURES`.
"""

from collections.abc import Callable

from components.common.report.panel import Panel
from components.evaluate.report import classes, explanations, scores, trust
from components.evaluate.report.panel import ReportData

# The first figure stands above the table of contents. A function returns None where it has nothing to show.
FIGURES: tuple[Callable[[ReportData], Panel | None], ...] = (
    scores.accuracy,
    classes.confusion_matrix,
    explanations.mistakes,
    explanations.attributions,
    explanations.feature_maps,
    classes.roc,
    classes.precision_recall,
    trust.calibration,
    trust.coverage,
    trust.robustness,
    scores.learning_curves,
    explanations.first_predictions,
)


def report_panels(data: ReportData) -> list[Panel]:
    """Return the panels of all figures that have something to show."""
    return [panel for figure in FIGURES if (panel := figure(data))]
