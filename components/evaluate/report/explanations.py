"""Figures on what a model looks at."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from components.evaluate.explain import Explanation

ROWS = ("Image", "Grad-CAM", "Saliency")


def explanation_grid(explanation: Explanation, captions: list[str]) -> Figure:
    """One column an image: itself, Grad-CAM laid over it, saliency."""
    count = len(captions)
    figure = Figure(figsize=(1.12 * count, 3.9))
    grid = figure.subplots(3, count, squeeze=False)
    for column, caption in enumerate(captions):
        image = explanation.images[column]
        shown = (
            (image, None),
            (image, explanation.grad_cam[column]),
            (explanation.saliency[column] * 255, None),
        )
        for row, (background, overlay) in enumerate(shown):
            axes = grid[row, column]
            axes.imshow(background, cmap="gray", vmin=0, vmax=255, interpolation="none")
            if overlay is not None:
                axes.imshow(overlay, cmap="inferno", vmin=0, vmax=1, alpha=overlay * 0.85)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        grid[0, column].set_title(caption, fontsize=9, fontweight="normal", loc="center")
    for row, name in enumerate(ROWS):
        grid[row, 0].set_ylabel(name, fontsize=9)
    return figure


def feature_maps(image: NDArray[np.uint8], maps: NDArray[np.float32], columns: int = 11) -> Figure:
    """The image, then each map (filters x height x width): what is above 0 orange, what is below violet."""
    count = len(maps) + 1
    rows = -(-count // columns)
    figure = Figure(figsize=(0.82 * columns, 0.85 * rows))
    reach = float(np.abs(maps).max()) or 1.0
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    figure.axes[0].imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="none")
    for axes, feature in zip(figure.axes[1:], maps, strict=False):
        axes.imshow(feature, cmap="PuOr_r", vmin=-reach, vmax=reach, interpolation="none")
    return figure
