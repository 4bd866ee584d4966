"""Pictures of digits, drawn for the purpose: fonts, and strokes of varied thickness, colour, place and size."""

import io
import random

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

# Strokes on a grid of 0 to 10 in both directions, y downwards.
STROKES: dict[int, list[list[tuple[float, float]]]] = {
    0: [[(5, 0), (2, 2), (1, 5), (2, 8), (5, 10), (8, 8), (9, 5), (8, 2), (5, 0)]],
    1: [[(3, 2), (5.5, 0), (5.5, 10)]],
    2: [[(1, 2.5), (3, 0.5), (6, 0), (8, 2), (7.5, 4.5), (1, 10), (9, 10)]],
    3: [[(1.5, 1), (5, 0), (8, 2), (7, 4), (4.5, 4.8), (8, 6), (8.5, 8), (5, 10), (1.5, 9)]],
    4: [[(6, 0), (1, 6.5), (9, 6.5)], [(6.5, 3), (6.5, 10)]],
    5: [[(8, 0), (2.5, 0), (2, 4.5), (6, 4), (8.5, 6.5), (6.5, 9.5), (1.5, 9.5)]],
    6: [[(7, 0), (3, 3), (1.5, 7), (3.5, 10), (7, 9.5), (8, 7), (6, 5), (2, 6.5)]],
    7: [[(1, 0), (9, 0), (4, 10)]],
    8: [[(5, 4.7), (2, 2.5), (5, 0), (8, 2.5), (5, 4.7), (1.5, 7.5), (5, 10), (8.5, 7.5), (5, 4.7)]],
    9: [[(8, 3), (5, 5), (2, 3), (4, 0.3), (7, 0.5), (8, 3), (7, 10)]],
}


def handwritten(digit: int, *, size: int, width: int, corner: tuple[int, int], inverted: bool) -> Image.Image:
    """Draw with a round pen; `corner` says where on a 300 x 400 sheet the digit of `size` pixels begins."""
    paper, ink = ("black", "white") if inverted else ("white", "black")
    sheet = Image.new("RGB", (300, 400), paper)
    draw = ImageDraw.Draw(sheet)
    for stroke in STROKES[digit]:
        points = [(corner[0] + x * size / 14, corner[1] + y * size / 10) for x, y in stroke]
        draw.line(points, ink, width, joint="curve")
        for x, y in points:
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), ink)
    return sheet


def printed(
    digit: int, *, font: str, size: int, corner: tuple[int, int], colours: tuple[str, str]
) -> Image.Image:
    """Print with one of matplotlib's fonts; colours are those of paper and ink."""
    sheet = Image.new("RGB", (240, 240), colours[0])
    face = ImageFont.truetype(font_manager.findfont(font, fallback_to_default=False), size)
    ImageDraw.Draw(sheet).text(corner, str(digit), colours[1], face)
    return sheet


def twenty() -> list[tuple[int, Image.Image]]:
    """Two pictures of every digit with their labels: one by hand, one printed."""
    generator = random.Random(3)  # noqa: S311
    fonts = ["DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIXGeneral", "cmr10"]
    colours = [("white", "black"), ("black", "white"), ("#f5f0d8", "#20306e"), ("#7a1020", "#ffe9a8")]
    pictures = []
    for digit in range(10):
        corner = generator.randrange(20, 90), generator.randrange(20, 120)
        by_hand = handwritten(
            digit,
            size=generator.randrange(120, 240),
            width=generator.choice([7, 12, 20, 28]),
            corner=corner,
            inverted=digit % 2 == 1,
        )
        place = generator.randrange(10, 110), generator.randrange(0, 90)
        face = fonts[digit % len(fonts)]
        in_print = printed(
            digit, font=face, size=generator.randrange(80, 130), corner=place, colours=colours[digit % 4]
        )
        pictures += [(digit, by_hand), (digit, in_print)]
    return pictures


def landscape() -> Image.Image:
    """Sky, sun, hills and a lake, in colours that run into each other."""
    sheet = Image.new("RGB", (320, 200))
    draw = ImageDraw.Draw(sheet)
    for y in range(200):
        shade = (
            (90 + y // 2, 140 + y // 3, 235 - y // 4) if y < 110 else (40, 90 + (200 - y) // 2, 40 + y // 5)
        )
        draw.line([(0, y), (320, y)], shade)
    draw.ellipse((230, 20, 270, 60), (255, 240, 170))
    draw.polygon([(0, 120), (70, 50), (140, 115), (210, 65), (320, 125), (320, 140), (0, 140)], (70, 80, 95))
    draw.ellipse((90, 150, 230, 185), (110, 160, 210))
    return sheet


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()
