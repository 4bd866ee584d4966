"""Figure of sample images with their labels."""

from pathlib import Path

from components.common.data.dataset import Split
from components.common.figures import ImageGrid, drawn_names

SAMPLES = 6


def draw_samples(split: Split, path: Path) -> None:
    """Draw the first six images of `split` in a 2 x 3 grid, as a PNG file."""
    grid = ImageGrid([0.25, 0.25], SAMPLES // 2, split.spec.shape, 1.5)
    names = drawn_names(split.spec, longest=14)
    for place, (image, label) in enumerate(zip(split.images[:SAMPLES], split.labels[:SAMPLES], strict=False)):
        name = names[label]
        # A number alone would not say that it is a label.
        grid.show(*divmod(place, SAMPLES // 2), image, f"Label: {name}" if len(name) <= 3 else name)
    grid.figure.set_layout_engine("constrained")
    grid.figure.savefig(path, dpi=150)
