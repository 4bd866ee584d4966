import pytest
from matplotlib.figure import Figure

from components.common.report.panel import Panel
from components.evaluate.report import contents
from components.evaluate.report.panel import ReportData


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
