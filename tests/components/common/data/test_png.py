"""Decoding of PNG pictures in batches, beside Pillow's decoding of each."""

import io
import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from components.common.data.picture import decode_picture
from components.common.data.png import PngBatch, png_shape

SHAPES = [(28, 28, 1), (28, 28, 3), (1, 1, 1), (1, 5, 3), (7, 1, 1), (3, 64, 3)]


def random_images(count: int, shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Half of them noise, half of them smooth, so that Pillow chooses all filters."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    images[::2] = images[::2].cumsum(axis=1).cumsum(axis=2) // 40
    return images


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    image: NDArray[np.uint8],
    filters: Sequence[int],
    *,
    before: bytes = b"",
    after: bytes = b"",
    pieces: int = 1,
) -> bytes:
    """Encode an image with a filter of its own for each row."""
    height, width, channels = image.shape
    rows = image.reshape(height, width * channels).astype(int)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    left, corner = (np.pad(x, ((0, 0), (channels, 0)))[:, : x.shape[1]] for x in (rows, above))
    guess = left + above - corner
    nearness = np.abs(np.stack([guess - left, guess - above, guess - corner]))
    paeth = np.choose(nearness.argmin(axis=0), [left, above, corner])
    predicted = [np.zeros_like(rows), left, above, (left + above) // 2, paeth]
    raw = b"".join(
        bytes([kind]) + ((rows[y] - predicted[kind][y]) % 256).astype(np.uint8).tobytes()
        for y, kind in enumerate(filters)
    )
    data = zlib.compress(raw)
    edges = np.linspace(0, len(data), pieces + 1).astype(int)
    parts = [chunk(b"IDAT", data[a:b]) for a, b in pairwise(edges)]
    color = 0 if channels == 1 else 2
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + before + b"".join(parts) + after + chunk(b"IEND", b"")


def saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def decoded(contents: Sequence[bytes], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    batch = PngBatch(shape)
    assert [batch.add(content) for content in contents] == [True] * len(contents)
    return batch.images()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_filter_in_every_order(shape: tuple[int, int, int]) -> None:
    images = random_images(60, shape)
    rng = np.random.default_rng(1)
    filters = rng.integers(0, 5, (60, shape[0]))
    filters[:5] = np.arange(5)[:, None]
    contents = [png(image, own) for image, own in zip(images, filters, strict=True)]
    np.testing.assert_array_equal(decoded(contents, shape), images)
    for content, image in zip(contents, images, strict=True):
        np.testing.assert_array_equal(decode_picture(content, "it"), image)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("level", [0, 1, 9])
def test_pictures_that_pillow_wrote(shape: tuple[int, int, int], level: int) -> None:
    images = random_images(40, shape)
    contents = [
        saved(Image.fromarray(image.squeeze(2) if shape[2] == 1 else image), compress_level=level)
        for image in images
    ]
    np.testing.assert_array_equal(decoded(contents, shape), images)
    assert {png_shape(content) for content in contents} == {(*shape, False)}


def test_several_data_chunks_and_harmless_others() -> None:
    image = random_images(1, (28, 28, 1))[0]
    before = chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"tEXt", b"Software\0test")
    content = png(image, [4] * 28, before=before, after=chunk(b"tIME", bytes(7)), pieces=5)
    np.testing.assert_array_equal(decoded([content], image.shape)[0], image)
    assert png_shape(content) == (28, 28, 1, False)


def test_an_empty_batch() -> None:
    assert PngBatch((28, 28, 1)).images().shape == (0, 28, 28, 1)


def other_pictures() -> dict[str, bytes]:
    """Pictures that say more than plain ones, or are of another kind."""
    grey = Image.fromarray(random_images(1, (28, 28, 1))[0, ..., 0])
    exif = Image.Exif()
    exif[0x0112] = 6
    texts = PngImagePlugin.PngInfo()
    texts.add_text("XML:com.adobe.xmp", '<tiff:Orientation="6"/>')
    return {
        "palette": saved(grey.convert("RGB").convert("P")),
        "transparent color": saved(grey, transparency=0),
        "alpha": saved(grey.convert("LA")),
        "bits": saved(grey.convert("1")),
        "16 bits": saved(Image.fromarray(np.zeros((28, 28), np.uint16))),
        "position": saved(grey, exif=exif),
        "position in a text": saved(grey, pnginfo=texts),
        "animation": saved(grey, save_all=True, append_images=[grey.rotate(90)]),
        "size": saved(grey.resize((28, 27))),
        "colour": saved(grey.convert("RGB")),
        "no pixels": png(np.zeros((28, 0, 1), np.uint8), [0] * 28),
        "jpeg": b"\xff\xd8\xff\xe0" + bytes(100),
        "nothing": b"",
        "longer than pixels": png(np.zeros((28, 28, 1), np.uint8), [0] * 28) + bytes(9000),
    }


@pytest.mark.parametrize("name", other_pictures())
def test_other_pictures_are_left_to_pillow(name: str) -> None:
    batch = PngBatch((28, 28, 1))
    assert not batch.add(other_pictures()[name])
    assert len(batch.images()) == 0


@pytest.mark.parametrize(
    "name", ["palette", "position", "position in a text", "transparent color", "no pixels", "jpeg", "nothing"]
)
def test_the_shape_of_other_pictures_is_left_to_pillow(name: str) -> None:
    assert png_shape(other_pictures()[name]) is None


def test_damaged_pictures_are_left_to_pillow() -> None:
    """Every byte is damaged once: what is still taken has the pixels that Pillow sees."""
    image = random_images(1, (6, 5, 1))[0]
    content = png(image, [0, 1, 2, 3, 4, 0], before=chunk(b"tEXt", b"Comment\0x"))
    taken = 0
    for at in range(len(content)):
        for flipped in (1, 255):
            damaged = bytearray(content)
            damaged[at] ^= flipped
            batch = PngBatch(image.shape)
            if batch.add(bytes(damaged)):
                taken += 1
                np.testing.assert_array_equal(batch.images()[0], decode_picture(bytes(damaged), "it"))
        # Nor does it need the checksum of the end.
        assert PngBatch(image.shape).add(content[:at]) == (at >= len(content) - 4)
    # Pillow reads no checksum of a data chunk, and of the end its name only.
    assert taken <= 2 * 12


def test_an_unknown_filter_is_left_to_pillow() -> None:
    image = np.zeros((2, 2, 1), np.uint8)
    good = png(image, [0, 0])
    raw = zlib.compress(b"\5\0\0\0\0\0")
    at = good.index(b"IDAT") - 4
    batch = PngBatch((2, 2, 1))
    assert not batch.add(good[:at] + chunk(b"IDAT", raw) + chunk(b"IEND", b""))
    assert batch.add(good)
    np.testing.assert_array_equal(batch.images()[0], image)


def test_a_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(2**26))
    good = png(np.zeros((28, 28, 1), np.uint8), [0] * 28)
    content = good[: good.index(b"IDAT") - 4] + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")
    assert len(content) > 60_000
    assert not PngBatch((28, 28, 1)).add(content)
