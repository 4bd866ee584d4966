"""Figures of a search, and the page that shows them in the Kubeflow UI."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from components.tune.choice import Choice

if TYPE_CHECKING:
    import optuna


def draw_figures(study: "optuna.Study", target: Path) -> dict[str, Path]:
    """Draw the optimization history, and importance and parallel coordinates once two trials differ.

    Returns:
        The PNG files by title.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from optuna.visualization import matplotlib as draw

    plots: dict[str, Callable[[optuna.Study], Any]] = {"Optimization history": draw.plot_optimization_history}
    if len({trial.value for trial in study.trials if trial.state.name == "COMPLETE"}) > 1:
        plots["Parameter importance"] = draw.plot_param_importances
        plots["Parallel coordinates"] = draw.plot_parallel_coordinate
    target.mkdir(parents=True, exist_ok=True)
    files = {title: target / f"{title.lower().replace(' ', '_')}.png" for title in plots}
    for title, plot in plots.items():
        figure = plot(study).figure
        figure.set_size_inches(10, 5)
        figure.savefig(files[title], dpi=110, bbox_inches="tight")
    return files


def write_page(choice: Choice, figures: dict[str, Path], page: Path) -> None:
    """Write one self-contained page with the outcome and the figures, PNG files by title."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    images = [(title, base64.b64encode(path.read_bytes()).decode()) for title, path in figures.items()]
    page.write_text(
        templates.get_template("search.html").render(sentence=choice.sentence(), figures=images) + "\n"
    )
