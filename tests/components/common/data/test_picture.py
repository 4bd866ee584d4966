import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from components.common.data.picture import decode_picture, resized
from components.common.errors import PipelineError

GREY = np.random.default_rng(0).integers(0, 256, (6, 9), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)
WIDE = GREY.astype(np.uint16) * 257


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_lossless_picture_keeps_its_pixels_and_its_channels(pixels: NDArray[np.uint8], form: str) -> None:
    decoded = decode_picture(encoded(Image.fromarray(pixels), form), "a")

    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels.reshape(6, 9, -1))


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("CMYK", 3)])
def test_a_jpeg_keeps_its_channels(mode: str, channels: int) -> None:
    picture = Image.new("L", (9, 6), 100).convert(mode)

    decoded = decode_picture(encoded(picture, "JPEG"), "a")

    assert decoded.shape == (6, 9, channels)
    assert np.abs(decoded.astype(int) - 100).max() <= 1


def test_a_webp_is_read() -> None:
    decoded = decode_picture(encoded(Image.fromarray(COLOUR), "WEBP", lossless=True), "a")

    np.testing.assert_array_equal(decoded, COLOUR)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(form: str) -> None:
    decoded = decode_picture(encoded(Image.fromarray(WIDE), form), "a")

    np.testing.assert_array_equal(decoded[..., 0], GREY)


def test_the_transparent_value_of_a_sixteen_bit_picture_becomes_white() -> None:
    decoded = decode_picture(encoded(Image.fromarray(WIDE), "PNG", transparency=int(WIDE[0, 0])), "a")

    np.testing.assert_array_equal(decoded[..., 0], np.where(GREY[0, 0] == GREY, 255, GREY))


def test_a_palette_of_greys_is_grey_and_one_of_colours_is_not() -> None:
    greys = decode_picture(encoded(Image.fromarray(GREY).convert("P"), "PNG"), "a")
    colours = decode_picture(encoded(Image.fromarray(COLOUR).quantize(256), "PNG"), "a")

    np.testing.assert_array_equal(greys[..., 0], GREY)
    np.testing.assert_array_equal(colours, COLOUR)


@pytest.mark.parametrize(("mode", "channels"), [("LA", 1), ("RGBA", 3), ("PA", 1)])
def test_what_is_transparent_becomes_white(mode: str, channels: int) -> None:
    picture = Image.new("LA", (9, 6), (0, 0))
    picture.paste((50, 255), (0, 0, 3, 6))
    options = {"transparency": 0} if mode == "PA" else {}
    if mode == "PA":
        picture = Image.new("P", (9, 6), 0)
        picture.putpalette([0, 0, 0, 50, 50, 50])
        picture.paste(1, (0, 0, 3, 6))

    decoded = decode_picture(
        encoded(picture if mode == "PA" else picture.convert(mode), "PNG", **options), "a"
    )

    assert decoded.shape == (6, 9, channels)
    assert (decoded[:, :3] == 50).all()
    assert (decoded[:, 3:] == 255).all()


def test_a_photograph_is_turned_as_its_exif_data_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6

    decoded = decode_picture(encoded(Image.fromarray(GREY), "PNG", exif=exif), "a")

    np.testing.assert_array_equal(decoded[..., 0], np.rot90(GREY, -1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"cannot be read \(cannot identify image file\): convert it"),
        (encoded(Image.fromarray(GREY), "ICO"), "cannot identify"),
        (encoded(Image.fromarray(COLOUR), "PNG")[:120], "truncated"),
        (
            encoded(Image.new("1", (4001, 4000)), "PNG"),
            "a: pixels must be at most 16,000,000 but is 16,004,000",
        ),
        (encoded(Image.new("1", (14000, 14000)), "PNG"), "196000000 pixels"),
        (encoded(Image.fromarray(GREY).convert("F"), "TIFF"), "values of 32 bits"),
        (
            encoded(Image.fromarray(GREY), "TIFF", save_all=True, append_images=[Image.fromarray(GREY)]),
            "a must hold one picture but holds 2",
        ),
    ],
    ids=["empty", "icon", "truncated", "large", "huge", "float", "pages"],
)
def test_what_is_no_such_picture_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        decode_picture(content, "a")


def test_resizing_averages_where_a_picture_shrinks() -> None:
    checkered = np.indices((64, 64)).sum(axis=0, dtype=np.uint8)[..., None] % 2 * 255

    small = resized(checkered, 8, 16, 1)

    assert small.shape == (8, 16, 1)
    assert np.abs(small[1:-1, 1:-1].astype(int) - 127).max() <= 2


def test_a_picture_of_the_right_size_is_converted_only() -> None:
    np.testing.assert_array_equal(resized(COLOUR, 6, 9, 3), COLOUR)
    np.testing.assert_array_equal(resized(GREY[..., None], 6, 9, 3), np.repeat(GREY[..., None], 3, axis=2))
    np.testing.assert_array_equal(
        resized(COLOUR, 6, 9, 1)[..., 0], np.asarray(Image.fromarray(COLOUR).convert("L"))
    )
