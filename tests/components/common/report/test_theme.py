import pytest
from matplotlib.figure import Figure

from components.common.report.theme import render_figure


def _draw() -> Figure:
    figure = Figure()
    figure.subplots().plot([0, 1], [1, 0], label="line")
    return figure


def test_the_same_figure_gives_the_same_bytes() -> None:
    rendered = render_figure(_draw)

    assert rendered.light.startswith(b"<?xml")
    assert render_figure(_draw) == rendered


@pytest.mark.parametrize(
    ("page", "paper", "line"), [("light", "#ffffff", "#0072b2"), ("dark", "#16191d", "#56b4e9")]
)
def test_a_page_has_its_paper_and_colours(page: str, paper: str, line: str) -> None:
    svg = getattr(render_figure(_draw), page).decode()

    assert f"fill: {paper}" in svg
    assert f"stroke: {line}" in svg


def test_styles_do_not_leak() -> None:
    from matplotlib import rcParams

    before = dict(rcParams)
    render_figure(_draw)

    assert dict(rcParams) == before
