"""Decoding of picture files, and conversion of pictures to one size and number of channels."""

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import MOST_PICTURE_PIXELS, require_within
from components.common.errors import PipelineError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image

# Endings of the files' names.
PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pbm", ".pgm", ".ppm"}
)
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
KINDS = "a PNG, JPEG, BMP, WebP, TIFF, GIF, PGM or PPM picture"
GREY_MODES = {"1", "L", "LA", "La"}
WIDE_MODES = {"I;16", "I;16L", "I;16B", "I;16N"}
# 32-bit integers and fractions, whose range the file does not say.
UNBOUNDED_MODES = {"I", "F"}


def decode_picture(content: bytes, name: str) -> NDArray[np.uint8]:
    """Decode a picture, turned as its EXIF data says; 16 bits become 8, and what is transparent becomes white.

    Args:
        content: Content of the file.
        name: Name of the file in error messages.

    Returns:
        uint8, H x W x 1 for a grey picture and a palette of greys, H x W x 3 for any other.

    Raises:
        PipelineError: It is no picture of these formats, or a damaged one; it is too large, has several pages, or has
            values of more than 16 bits.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            _require_readable(picture, name)
            ImageOps.exif_transpose(picture, in_place=True)
            pixels = _pixels(picture, name)
    except PipelineError:
        raise
    # Damaged files raise errors of Pillow, zlib, struct and others, without a common base class.
    except Exception as error:
        reason = first_line(error).removesuffix(".").partition(" <")[0]
        raise PipelineError(
            f"{name} must be {KINDS} but cannot be read ({reason}): convert it or leave it out."
        ) from error
    return pixels if pixels.ndim == 3 else pixels[..., None]


def resized(image: NDArray[np.uint8], height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Resize a picture, and convert it to grey or to colour; pixels are averaged where it shrinks.

    Args:
        image: uint8, H x W x 1 or H x W x 3.
        height: Rows of the result.
        width: Columns of the result.
        channels: 1 or 3.

    Returns:
        uint8, height x width x channels.
    """
    if image.shape == (height, width, channels):
        return image
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    if channels == 1:
        picture = picture.convert("L")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture if channels == 1 else picture.convert("RGB"))
    return pixels.reshape(height, width, channels)


def _require_readable(picture: "Image", name: str) -> None:
    """Check what the header says, before anything is decoded."""
    require_within(picture.width * picture.height, MOST_PICTURE_PIXELS, f"{name}: pixels", "make it smaller")
    if picture.mode in UNBOUNDED_MODES:
        raise PipelineError(
            f"{name} must have 8 or 16 bits a channel but has values of 32 bits: convert it or leave it out."
        )
    # The further pictures of a photograph in the MPO form are its previews and depths.
    pages = getattr(picture, "n_frames", 1)
    if pages > 1 and picture.format != "MPO":
        raise PipelineError(f"{name} must hold one picture but holds {pages}: save each as a file.")


def _pixels(picture: "Image", name: str) -> NDArray[np.uint8]:
    """Return the pixels, H x W or H x W x 3."""
    if picture.mode in WIDE_MODES:
        wide = np.asarray(picture)
        # As when values of 8 bits are saved with 16: they would all become 0 or 1.
        if 0 < (largest := int(wide.max())) <= 255:
            raise PipelineError(
                f"{name} must use the range of its 16 bits but its largest value is {largest} of 65535: "
                "save it with 8 bits."
            )
        narrow = np.rint(wide / 257).astype(np.uint8)
        transparent = picture.info.get("transparency")
        return narrow if transparent is None else np.where(wide == transparent, np.uint8(255), narrow)
    grey = picture.mode in GREY_MODES
    if picture.has_transparency_data:
        pixels = _on_white(picture)
        grey = grey or (picture.mode in {"P", "PA"} and _is_grey(pixels))
        return pixels[..., 0] if grey else pixels
    if grey:
        return np.asarray(picture.convert("L"))
    pixels = np.asarray(picture.convert("RGB"))
    return pixels[..., 0] if picture.mode == "P" and _is_grey(pixels) else pixels


def _on_white(picture: "Image") -> NDArray[np.uint8]:
    from PIL import Image

    paper = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB"))


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    return bool((pixels == pixels[..., :1]).all())
