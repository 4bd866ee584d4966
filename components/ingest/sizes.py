"""The one size that pictures of several sizes are brought to."""

import io
from collections import Counter
from collections.abc import Iterable

from components.common.data.picture import FORMATS, decode_picture
from components.common.errors import PipelineError

# Pixels of the longer side, unless data.size is set.
LARGEST_SIDE = 64
# Channels of pictures whose kind alone says whether they are grey; a palette has to be looked at.
CHANNELS = {"1": 1, "L": 1, "LA": 1, "I;16": 1, "I;16B": 1, "RGB": 3, "RGBA": 3, "CMYK": 3, "YCbCr": 3}


def measured(content: bytes, name: str) -> tuple[int, int, int]:
    """Return height, width and channels of a picture, of its header where that says them.

    Raises:
        PipelineError: It is no picture, or a damaged one.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.mode in CHANNELS and "exif" not in picture.info:
                return picture.height, picture.width, CHANNELS[picture.mode]
    # `decode_picture` says what is wrong.
    except Exception:  # noqa: S110
        pass
    height, width, channels = decode_picture(content, name).shape
    return height, width, channels


def common_size(
    measures: Iterable[tuple[int, int, int]], size: int | None, uri: str
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """Choose the size of all images: `data.size`, or the most common size, at most 64 pixels a side.

    Args:
        measures: Height, width and channels of each picture.
        size: Value of `data.size`.
        uri: What to call the pictures in an error.

    Returns:
        Height, width and channels, 3 where any picture is in colour; and notes of what this changes.

    Raises:
        PipelineError: There are no pictures.
    """
    counts: Counter[tuple[int, int]] = Counter()
    colours: Counter[int] = Counter()
    for height, width, channels in measures:
        counts[height, width] += 1
        colours[channels] += 1
    if not counts:
        raise PipelineError(f"{uri} must hold pictures but holds none: add some.")
    # The larger one of two sizes that are as common.
    (height, width), _ = max(counts.items(), key=lambda item: (item[1], item[0]))
    shrink = min(1.0, LARGEST_SIDE / max(height, width))
    target = (size, size) if size else (max(1, round(height * shrink)), max(1, round(width * shrink)))
    notes = []
    if resized := counts.total() - counts[target]:
        sizes = f"of {len(counts)} sizes" if len(counts) > 1 else f"of {height} x {width}"
        notes.append(f"{resized} pictures {sizes} were resized to {target[0]} x {target[1]}")
    if len(colours) > 1:
        notes.append(f"{colours[1]} grey pictures among {colours[3]} in colour were taken as colour")
    return (*target, max(colours)), tuple(notes)
