from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from components.common.data.dataset import Split
from components.common.model.judgement import REJECT_ALL
from components.common.report.panel import Panel
from components.evaluate.metrics import measure_predictions
from components.evaluate.report import contents
from components.evaluate.report.panel import ReportData
from components.evaluate.selective import measure_selective


def test_one_function_and_one_entry_add_a_figure(data: ReportData, monkeypatch: pytest.MonkeyPatch) -> None:
    def margins(data: ReportData) -> Panel:
        return Panel("margins", "Margins", f"Of {len(data.probabilities)} images.", "Margins.", Figure)

    monkeypatch.setattr(contents, "FIGURES", (*contents.FIGURES, margins))

    panels = contents.report_panels(data)

    assert panels[-1].caption == "Of 300 images."
    assert len({panel.name for panel in panels}) == len(panels)


def test_a_figure_with_nothing_to_show_is_left_out(data: ReportData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "FIGURES", (lambda _: None,))

    assert contents.report_panels(data) == []


@pytest.mark.parametrize("shift", [0, 1])
def test_twenty_certain_answers_can_be_shown_all_right_or_all_wrong(data: ReportData, shift: int) -> None:
    labels = np.arange(20) % 9  # of ten classes
    answers = np.eye(10, dtype=np.float32)[(labels + shift) % 10]
    changes = {
        "tuned": measure_predictions(labels, answers),
        "selective": measure_selective(labels, answers, REJECT_ALL),
    }
    evaluation = data.evaluation.model_copy(update=changes)
    few = replace(
        data,
        evaluation=evaluation,
        split=Split(data.split.images[:20], labels, data.split.spec),
        probabilities=answers,
    )

    by_name = {panel.name: panel for panel in contents.report_panels(few)}

    assert ("mistakes" in by_name) == bool(shift)
    assert "every answer is rejected" in by_name["coverage"].caption
    assert f"these images {'show' if shift else 'do not show'} that" in by_name["reliability"].caption
    for name in ("accuracy", "confusion_matrix", "roc", "precision_recall", "reliability", "coverage"):
        assert by_name[name].draw().axes
