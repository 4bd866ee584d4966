from dataclasses import replace

import pytest

from components.evaluate.report import trust
from components.evaluate.report.panel import ReportData


@pytest.mark.parametrize(("coverage", "side"), [(0.1, "left"), (0.95, "right")])
def test_the_thresholds_note_stands_where_there_is_room(data: ReportData, coverage: float, side: str) -> None:
    selective = replace(
        data.evaluation.selective,
        coverage=[0.05, 0.1, 0.95, 1.0],
        accuracy=[0.9, 0.9, 0.9, 0.9],
        threshold_coverage=coverage,
    )
    changed = replace(data, evaluation=data.evaluation.model_copy(update={"selective": selective}))

    (axes,) = trust.coverage(changed).draw().axes

    (note,) = axes.texts
    assert note.get_horizontalalignment() == side
