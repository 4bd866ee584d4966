"""How the search went, as figures and as one self-contained page for the Kubeflow UI."""

import base64
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.tune.choice import Choice

if TYPE_CHECKING:
    import optuna

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hyperparameter search</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100%; background: white }}</style></head>
<body><h1>Hyperparameter search</h1><p>{sentence}</p>{figures}</body></html>
"""


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
    images = "".join(
        f'<h2>{escape(title)}</h2><img alt="{escape(title)}" '
        f'src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'
        for title, path in figures.items()
    )
    page.write_text(PAGE.format(sentence=escape(choice.sentence()), figures=images))
