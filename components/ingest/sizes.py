"""Pictures of several sizes, wherever they lie: the one size that all are brought to, and their pixels in it."""

import io
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from components.common.data.picture import FORMATS, GREY_MODES, WIDE_MODES, decode_picture, resized
from components.common.data.png import PngBatch, png_shape

COLOUR_MODES = {"RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
ORIENTATION = 0x0112
# EXIF's positions from here on exchange height and width.
FIRST_LYING = 5
# Pixels of the longer side, unless data.size is set.
LARGEST_SIDE = 64


def picture_shape(content: bytes, name: str) -> tuple[int, int, int, bool]:
    """Return height, width and channels of a picture, and whether it can be transparent; mostly without decoding it.

    Args:
        content: Content of the file.
        name: Name of the file in error messages.

    Raises:
        PipelineError: It is no picture, or a damaged one.
    """
    from PIL import Image

    if plain := png_shape(content):
        return plain
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            width, height = picture.size
            mode, alpha = picture.mode, picture.has_transparency_data
            # Pillow decodes a PNG to find its position.
            known = picture.format != "PNG" and mode in GREY_MODES | WIDE_MODES | COLOUR_MODES
            # The size of a TIFF is already that of the turned picture.
            if known and picture.format != "TIFF" and picture.getexif().get(ORIENTATION, 1) >= FIRST_LYING:
                width, height = height, width
    # Whatever is wrong with it, decoding says it.
    except Exception:
        known, alpha = False, False
    if not known:
        height, width, channels = decode_picture(content, name).shape
        return height, width, channels, alpha
    return height, width, 3 if mode in COLOUR_MODES else 1, alpha


def common_shape(shapes: NDArray[np.int64], size: int | None) -> tuple[tuple[int, int, int], list[str]]:
    """Choose the shape of all images: `data.size`, or the most common size, at most 64 pixels a side.

    Args:
        shapes: What `picture_shape` returns of each picture, N x 4, N at least 1.
        size: Value of `data.size`.

    Returns:
        Height, width and channels, 3 where any picture is in colour; and notes of what this changes.
    """
    notes = []
    counts = Counter(zip(shapes[:, 0].tolist(), shapes[:, 1].tolist(), strict=True))
    (height, width), count = min(
        counts.items(), key=lambda item: (-item[1], item[0][0] * item[0][1], item[0])
    )
    common = f"{height} x {width}"
    if size:
        height = width = size
    elif (side := max(height, width)) > LARGEST_SIDE:
        height, width = (max(1, round(length * LARGEST_SIDE / side)) for length in (height, width))
    if len(counts) > 1:
        notes.append(
            f"the pictures have {len(counts)} sizes, of which {common} is the most common, with {count} of "
            f"{len(shapes)}: all are resized to {height} x {width}"
        )
    elif common != f"{height} x {width}":
        notes.append(f"the pictures of {common} are resized to {height} x {width}")
    if notes and not size:
        notes[-1] += f", at most {LARGEST_SIDE} a side; data.size decides otherwise"
    colour = int((shapes[:, 2] == 3).sum())
    if 0 < colour < len(shapes):
        notes.append(f"{colour} of {len(shapes)} pictures are in colour: all are taken as such")
    if transparent := int(shapes[:, 3].sum()):
        notes.append(f"{transparent} of {len(shapes)} pictures can be transparent: they are laid on white")
    return (height, width, 3 if colour else 1), notes


def decoded_pictures(
    contents: Iterable[bytes],
    count: int,
    name: Callable[[int], str],
    shape: tuple[int, int, int],
    check: Callable[[int, bytes], None] | None = None,
) -> NDArray[np.uint8]:
    """Decode pictures; those of another size or number of channels are resized and converted.

    Args:
        contents: Contents of the files, of which one is needed at a time.
        count: Their number.
        name: Returns the name in error messages of the picture at a place.
        shape: Height, width and channels.
        check: Called with place and content of each picture that is not known to have this shape.

    Returns:
        uint8, N x height x width x channels.

    Raises:
        PipelineError: One is no picture, or a damaged one.
    """
    images = np.empty((count, *shape), np.uint8)
    plain = np.zeros(count, np.bool_)
    batch = PngBatch(shape)
    for at, content in enumerate(contents):
        plain[at] = batch.add(content)
        if not plain[at]:
            if check:
                check(at, content)
            images[at] = resized(decode_picture(content, name(at)), *shape)
    images[plain] = batch.images()
    return images
