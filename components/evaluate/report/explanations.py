"""Figures of single images: mistakes, explanations, predictions."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from components.evaluate.explain import convolutions, explain_predictions, first_features
from components.evaluate.report.panel import Panel, ReportData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Number of hits, and of mistakes, that are explained.
EXPLAINED = 5
# Number of images, the input included, in a row of feature maps.
FEATURE_COLUMNS = 11
ARROW = "\N{RIGHTWARDS ARROW}"


def mistakes(data: ReportData) -> Panel | None:
    """Show the most confident mistakes; None where there is no mistake."""
    found = data.mistakes
    if not found:
        return None
    captions = [f"{mistake.truth} {ARROW} {mistake.predicted}  {mistake.confidence:.3f}" for mistake in found]
    listed = [
        f"{mistake.truth} taken for {mistake.predicted} ({mistake.confidence:.3f})" for mistake in found
    ]
    images = data.split.images[[mistake.index for mistake in found]]
    return Panel(
        name="mistakes",
        title="Most confident mistakes",
        caption=f"True class {ARROW} predicted class, and the probability that the candidate gave to its wrong "
        "answer.",
        alt=f"Test images that the candidate gets wrong: {', '.join(listed)}.",
        draw=lambda: image_grid(images, captions, columns=6),
    )


def attributions(data: ReportData) -> Panel | None:
    """Show Grad-CAM and saliency of hits and mistakes; None for a model without a convolution."""
    if not convolutions(data.classifier):
        return None
    labels, predicted = data.split.labels, data.probabilities.argmax(axis=1)
    hits = np.flatnonzero(predicted == labels)[:EXPLAINED]
    rows = [*hits, *(mistake.index for mistake in data.mistakes[:EXPLAINED])]
    explanation = explain_predictions(data.classifier, data.split.images[rows])
    captions = [
        str(truth) if truth == guess else f"{truth} {ARROW} {guess}"
        for truth, guess in zip(labels[rows], predicted[rows], strict=True)
    ]

    def draw() -> Figure:
        figure = Figure(figsize=(1.12 * len(rows), 3.9))
        grid = figure.subplots(3, len(rows), squeeze=False)
        for column, caption in enumerate(captions):
            image, overlay = explanation.images[column], explanation.grad_cam[column]
            for axes, shown in zip(
                grid[:, column], (image, image, explanation.saliency[column] * 255), strict=True
            ):
                _show_grey(axes, shown)
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
            grid[1, column].imshow(overlay, cmap="inferno", vmin=0, vmax=1, alpha=overlay * 0.85)
            grid[0, column].set_title(caption, fontsize=9, fontweight="normal", loc="center")
        for axes, name in zip(grid[:, 0], ("Image", "Grad-CAM", "Saliency"), strict=True):
            axes.set_ylabel(name, fontsize=9)
        return figure

    return Panel(
        name="explanations",
        title="What the candidate looks at",
        caption=f"Hits on the left, the most confident mistakes (true class {ARROW} predicted) on the right. "
        "Grad-CAM (HiResCAM) colours the places whose features support the predicted class; saliency (SmoothGrad) "
        "shows the pixels to which that class's score reacts most.",
        alt=f"Grad-CAM and saliency maps of {len(hits)} hits and {len(rows) - len(hits)} mistakes: "
        f"{', '.join(captions)}.",
        draw=draw,
    )


def feature_maps(data: ReportData) -> Panel | None:
    """Show the first convolution's maps of the first test image; None for a model without a convolution."""
    if not convolutions(data.classifier):
        return None
    image = data.split.images[0]
    maps = first_features(data.classifier, image)

    def draw() -> Figure:
        rows = -(-(len(maps) + 1) // FEATURE_COLUMNS)
        figure = Figure(figsize=(0.82 * FEATURE_COLUMNS, 0.85 * rows))
        reach = float(np.abs(maps).max()) or 1.0
        for axes in figure.subplots(rows, FEATURE_COLUMNS, squeeze=False).flat:
            axes.axis("off")
        _show_grey(figure.axes[0], image)
        for axes, feature in zip(figure.axes[1:], maps, strict=False):
            axes.imshow(feature, cmap="PuOr_r", vmin=-reach, vmax=reach, interpolation="none")
        return figure

    return Panel(
        name="feature_maps",
        title="First-layer features",
        caption="The first test image, and the output of each filter of the first convolution before its activation: "
        "positive values orange, negative values violet.",
        alt=f"{len(maps)} feature maps of the first convolution for an image of class {data.split.labels[0]}.",
        draw=draw,
    )


def first_predictions(data: ReportData) -> Panel:
    """Show the first six test images with the predicted classes."""
    images, guesses = data.split.images[:6], data.probabilities[:6].argmax(axis=1).tolist()
    listed = [
        f"class {truth} predicted as {guess}"
        for truth, guess in zip(data.split.labels, guesses, strict=False)
    ]
    return Panel(
        name="predictions",
        title="The first six test images",
        caption="With the class that the candidate predicts, as in the tutorial.",
        alt=f"The first test images; {', '.join(listed)}.",
        draw=lambda: image_grid(images, [f"Predicted: {guess}" for guess in guesses], columns=3),
    )


def image_grid(images: NDArray[np.uint8], captions: list[str], columns: int) -> Figure:
    """Draw grey images, N x height x width, each below its caption."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.4 * columns, 1.75 * rows))
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, image, caption in zip(figure.axes, images, captions, strict=False):
        _show_grey(axes, image)
        axes.set_title(caption, fontsize=10, fontweight="normal", loc="center")
    return figure


def _show_grey(axes: "Axes", image: NDArray[np.number]) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="none")
