"""Contact sheet: examples of each class in one PNG file."""

from pathlib import Path

import numpy as np

from components.common.data.raw_data import PixelFile, open_part
from components.common.data.spec import ImageSpec

EXAMPLES = 12
MOST_CLASSES = 60
# Height of an example in pixels, at least; small images are enlarged by whole numbers.
CELL = 56
GAP = 4
LONGEST_NAME = 22
TEXT_SIZE = 14


def draw_sheet(raw: Path, spec: ImageSpec, target: Path) -> None:
    """Draw the first training images of each class, a row for each class.

    Args:
        raw: Directory of raw data.
        spec: Description of the images.
        target: PNG file to write.
    """
    from PIL import Image, ImageDraw, ImageFont

    labels, pixels = open_part(raw, "train", spec).labels, PixelFile(raw, "train", spec)
    times = max(1, CELL // max(spec.height, spec.width))
    height, width = spec.height * times, spec.width * times
    shown = spec.classes[:MOST_CLASSES]
    font = ImageFont.load_default(TEXT_SIZE)
    short = [
        name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"
        for name in shown
    ]
    margin = 3 * GAP + int(max(font.getlength(name) for name in short))
    size = (margin + EXAMPLES * (width + GAP), len(shown) * (height + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for place, name in enumerate(short):
        top = GAP + place * (height + GAP)
        pen.text((GAP, top + height / 2), name, fill="black", anchor="lm", font=font)
        rows = np.flatnonzero(labels == place)[:EXAMPLES]
        for column, image in enumerate(pixels.take(rows)):
            picture = Image.fromarray(image[..., 0] if spec.channels == 1 else image).resize(
                (width, height), Image.Resampling.NEAREST
            )
            sheet.paste(picture, (margin + column * (width + GAP), top))
    sheet.save(target)
