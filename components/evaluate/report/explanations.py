"""Figures of single images: mistakes, explanations, predictions."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.common.figures import ImageGrid, drawn_names, shrunk
from components.common.report.panel import Panel
from components.evaluate.explain import convolutions, explain_predictions, first_features
from components.evaluate.report.panel import ReportData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Number of hits, and of mistakes, that are explained.
EXPLAINED = 5
# Number of images, the input included, in a row of feature maps.
FEATURE_COLUMNS = 11
# Characters of a class's name above an image.
LONGEST = 11
ARROW = "\N{RIGHTWARDS ARROW}"


def mistakes(data: ReportData) -> Panel | None:
    """Show the most confident mistakes; None where there is no mistake."""
    found = data.mistakes
    if not found:
        return None
    names = drawn_names(data.evaluation.spec, LONGEST)
    captions = [
        f"{_taken(names[mistake.truth], names[mistake.predicted])}  {mistake.confidence:.3f}"
        for mistake in found
    ]
    listed = [
        f"{data.names[mistake.truth]} taken for {data.names[mistake.predicted]} ({mistake.confidence:.3f})"
        for mistake in found
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


def of_different_classes(rows: NDArray[np.intp], labels: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the first row of each class and then further ones, at most `EXPLAINED`: a test part may be sorted.

    Args:
        rows: Some rows of the test part, in order.
        labels: Labels of the test part.
    """
    firsts = np.sort(np.unique(labels[rows], return_index=True)[1])
    order = [*firsts, *np.delete(np.arange(len(rows)), firsts)][:EXPLAINED]
    return np.sort(rows[order])


def attributions(data: ReportData) -> Panel | None:
    """Show Grad-CAM and saliency of hits and mistakes; None for a model without a convolution."""
    if not convolutions(data.classifier):
        return None
    labels, predicted = data.split.labels, data.probabilities.argmax(axis=1)
    hits = of_different_classes(np.flatnonzero(predicted == labels), labels)
    rows = [*hits, *(mistake.index for mistake in data.mistakes[:EXPLAINED])]
    explanation = explain_predictions(data.classifier, data.split.images[rows])
    names = drawn_names(data.evaluation.spec, LONGEST)
    pairs = list(zip(labels[rows].tolist(), predicted[rows].tolist(), strict=True))
    captions = [
        names[truth] if truth == guess else _taken(names[truth], names[guess]) for truth, guess in pairs
    ]
    listed = [
        data.names[truth] if truth == guess else f"{data.names[truth]} {ARROW} {data.names[guess]}"
        for truth, guess in pairs
    ]

    def draw() -> "Figure":
        first = [_lines(captions) * 0.17, 0, 0]
        grid = ImageGrid(first, len(rows), data.split.spec.shape, 1.12, left=0.25)
        for column, text in enumerate(captions):
            image, overlay = explanation.images[column], shrunk(explanation.grad_cam[column])
            grid.show(0, column, image, text)
            # Without its own colours, which the overlay's would mix with.
            grid.show(1, column, image.mean(axis=2, keepdims=True))
            grid.show(1, column, overlay, cmap="inferno", vmin=0, vmax=1, alpha=overlay * 0.85)
            grid.show(2, column, explanation.saliency[column, ..., None] * 255)
        for row, name in enumerate(("Image", "Grad-CAM", "Saliency")):
            grid.name_row(row, name)
        return grid.figure

    return Panel(
        name="explanations",
        title="What the candidate looks at",
        caption=f"Hits on the left, the most confident mistakes (true class {ARROW} predicted) on the right. "
        "Grad-CAM (HiResCAM) colours the places whose features support the predicted class; saliency (SmoothGrad) "
        "shows the pixels to which that class's score reacts most.",
        alt=f"Grad-CAM and saliency maps of {len(hits)} hits and {len(rows) - len(hits)} mistakes: "
        f"{', '.join(listed)}.",
        draw=draw,
    )


def feature_maps(data: ReportData) -> Panel | None:
    """Show the first convolution's maps of the first test image; None for a model without a convolution."""
    if not convolutions(data.classifier):
        return None
    image = data.split.images[0]
    maps = first_features(data.classifier, image)

    def draw() -> "Figure":
        rows = -(-(len(maps) + 1) // FEATURE_COLUMNS)
        grid = ImageGrid([0] * rows, FEATURE_COLUMNS, image.shape, 0.82)
        grid.show(0, 0, image)
        reach = float(np.abs(maps).max()) or 1.0
        for place, feature in enumerate(maps, start=1):
            grid.show(*divmod(place, FEATURE_COLUMNS), feature, cmap="PuOr_r", vmin=-reach, vmax=reach)
        return grid.figure

    return Panel(
        name="feature_maps",
        title="First-layer features",
        caption="The first test image, and the output of each filter of the first convolution before its activation: "
        "positive values orange, negative values violet.",
        alt=f"{len(maps)} feature maps of the first convolution for an image of class "
        f"{data.names[data.split.labels[0]]}.",
        draw=draw,
    )


def first_predictions(data: ReportData) -> Panel:
    """Show the first six test images with the predicted classes."""
    images, guesses = data.split.images[:6], data.probabilities[:6].argmax(axis=1).tolist()
    names = drawn_names(data.evaluation.spec, LONGEST)
    captions = [f"Predicted:{_space(names[guess])}{names[guess]}" for guess in guesses]
    listed = [
        f"class {data.names[truth]} predicted as {data.names[guess]}"
        for truth, guess in zip(data.split.labels, guesses, strict=False)
    ]
    return Panel(
        name="predictions",
        title="The first six test images",
        caption="With the class that the candidate predicts"
        + (", as in the tutorial." if data.evaluation.dataset.name == "mnist" else "."),
        alt=f"The first test images; {', '.join(listed)}.",
        draw=lambda: image_grid(images, captions, columns=3),
    )


def image_grid(images: NDArray[np.uint8], captions: list[str], columns: int) -> "Figure":
    """Draw images, N x height x width x channels, each below its caption."""
    rows = -(-len(images) // columns)
    grid = ImageGrid([0.05 + 0.17 * _lines(captions)] * rows, columns, images.shape[1:], 1.4)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        grid.show(*divmod(place, columns), image, caption)
    return grid.figure


def _lines(captions: list[str]) -> int:
    return max(caption.count("\n") for caption in captions) + 1


def _taken(truth: str, predicted: str) -> str:
    """Return the caption of a mistake, in two lines where the names are long."""
    return f"{truth} {ARROW}{_space(truth, predicted)}{predicted}"


def _space(*names: str) -> str:
    return " " if max(map(len, names)) <= 3 else "\n"
