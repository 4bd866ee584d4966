"""Figure of sample images with their labels."""

from pathlib import Path

from components.common.data.dataset import Split
from components.common.figures import drawn_names, show_image

SAMPLES = 6


def draw_samples(split: Split, path: Path) -> None:
    """Draw the first six images of `split` in a 2 x 3 grid, as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 3.4), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    names = drawn_names(split.spec, longest=14)
    for panel in panels:
        panel.axis("off")
    for panel, image, label in zip(panels, split.images[:SAMPLES], split.labels[:SAMPLES], strict=False):
        show_image(panel, image)
        name = names[label]
        # Beside "Label:" there is room for a few characters only.
        if len(name) <= 3:
            panel.set_title(f"Label: {name}")
        else:
            panel.set_title(name, fontsize=9)
    figure.savefig(path, dpi=150)
