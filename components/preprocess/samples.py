"""Figure of sample images with their labels."""

from pathlib import Path

from components.common.data.dataset import Split

SAMPLES = 6


def draw_samples(split: Split, path: Path) -> None:
    """Draw the first six images of `split` in a 2 x 3 grid, as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 3.4), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, image, label in zip(panels, split.images[:SAMPLES], split.labels[:SAMPLES], strict=False):
        # The colour map counts for grey images alone.
        panel.imshow(image, cmap="gray", vmin=0, vmax=255)
        panel.set_title(f"Label: {split.spec.classes[label]}")
    figure.savefig(path, dpi=150)
