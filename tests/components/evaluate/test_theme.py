import pytest
from matplotlib.figure import Figure

from components.evaluate.theme import DARK, LIGHT, Style, render


def _draw() -> Figure:
    figure = Figure()
    figure.subplots().plot([0, 1], [1, 0], label="line")
    return figure


@pytest.mark.parametrize("style", [LIGHT, DARK])
@pytest.mark.parametrize(("image_format", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_the_same_figure_gives_the_same_bytes(style: Style, image_format: str, magic: bytes) -> None:
    image = render(_draw, style, image_format)

    assert image.startswith(magic)
    assert render(_draw, style, image_format) == image


@pytest.mark.parametrize(
    ("style", "paper", "line"), [(LIGHT, "#ffffff", "#0072b2"), (DARK, "#16191d", "#56b4e9")]
)
def test_a_style_sets_paper_and_colours(style: Style, paper: str, line: str) -> None:
    svg = render(_draw, style, "svg").decode()

    assert f"fill: {paper}" in svg
    assert f"stroke: {line}" in svg


def test_styles_do_not_leak() -> None:
    from matplotlib import rcParams

    before = dict(rcParams)
    render(_draw, DARK, "svg")

    assert dict(rcParams) == before
