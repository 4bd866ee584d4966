"""Data sets of known difficulty, drawn by the tests: a linear classifier of pixels falls well behind a small network.

What a class means lies in shapes at random places, angles and sizes, which no single pixel tells.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Images = NDArray[np.uint8]
Generator = np.random.Generator
# Drawn larger and reduced, for smooth edges.
OVERSAMPLING = 2
COLOURS = {"red": (210, 50, 50), "green": (50, 170, 70), "blue": (60, 80, 210)}


@dataclass(frozen=True, eq=False)
class MadeSet:
    """A data set, with a training and a test part.

    Attributes:
        classes: Names of the classes; a label is a place in this list.
        train: uint8, N x height x width, or N x height x width x 3.
        train_labels: int64, N.
        test: As `train`.
        test_labels: int64, N.
    """

    classes: tuple[str, ...]
    train: Images
    train_labels: NDArray[np.int64]
    test: Images
    test_labels: NDArray[np.int64]

    @property
    def parts(self) -> dict[str, tuple[Images, NDArray[np.int64]]]:
        """Images and labels by the part's name."""
        return {"train": (self.train, self.train_labels), "test": (self.test, self.test_labels)}


def letters(train: int = 2600, test: int = 520) -> MadeSet:
    """Draw the 26 capital letters, 28 x 28 grey, bright on black."""
    names = tuple(chr(ord("A") + place) for place in range(26))
    return _made(names, lambda label, rng: _text(names[label], 28, rng), train, test, seed=1)


def numbers(train: int = 5000, test: int = 1000) -> MadeSet:
    """Draw the numbers 0 to 99 with two figures each, 28 x 28 grey, bright on black."""
    names = tuple(f"{number:02}" for number in range(100))
    return _made(names, lambda label, rng: _text(names[label], 28, rng), train, test, seed=2)


def coloured_shapes(side: int = 32, train: int = 1500, test: int = 500) -> MadeSet:
    """Draw discs and squares of three colours on any ground: neither colour nor shape tells the class."""
    names = ("blue disc", "blue square", "green disc", "red disc", "red square")
    return _made(names, lambda label, rng: _coloured_shape(names[label], side, rng), train, test, seed=3)


def rings(train: int = 1800, test: int = 600) -> MadeSet:
    """Draw whole rings and, one in nine, rings with a gap, 28 x 28 grey: the gap may be anywhere."""
    names = ("whole", "broken")
    shares = np.array([8, 1]) / 9
    return _made(names, lambda label, rng: _ring(28, rng, broken=bool(label)), train, test, 4, shares)


def _made(
    names: tuple[str, ...],
    draw: Callable[[int, Generator], Images],
    train: int,
    test: int,
    seed: int,
    shares: NDArray[np.float64] | None = None,
) -> MadeSet:
    rng = np.random.default_rng(seed)
    counts = np.full(len(names), 1 / len(names)) if shares is None else shares
    parts = []
    for size in (train, test):
        bounds = (counts.cumsum() * size).round()
        labels = rng.permutation(np.searchsorted(bounds, np.arange(size), side="right"))
        parts += [np.stack([draw(int(label), rng) for label in labels]), labels]
    return MadeSet(names, *parts)


def _text(text: str, side: int, rng: Generator) -> Images:
    """Draw a text at a random size, angle and place, with noise."""
    size = OVERSAMPLING * side
    font = _font(int(size * rng.uniform(0.5, 0.7) / math.sqrt(len(text))))
    picture = Image.new("L", (size, size))
    place = tuple(size / 2 + rng.uniform(-0.14, 0.14, 2) * size)
    ImageDraw.Draw(picture).text(place, text, fill=255, font=font, anchor="mm")
    turned = picture.rotate(rng.uniform(-20, 20), Image.Resampling.BILINEAR, center=place)
    grey = np.asarray(turned.resize((side, side), Image.Resampling.BOX), float)
    return _noisy(grey * rng.uniform(0.5, 1), 28, rng)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib as mpl

    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def _coloured_shape(name: str, side: int, rng: Generator) -> Images:
    colour, shape = name.split()
    size = OVERSAMPLING * side
    ground = tuple(map(int, rng.integers(60, 130, 3)))
    picture = Image.new("RGB", (size, size), ground)
    radius = size * rng.uniform(0.2, 0.3)
    centre = rng.uniform(radius * 1.3, size - radius * 1.3, 2)
    tint = tuple(map(int, np.clip(np.array(COLOURS[colour]) + rng.integers(-35, 36, 3), 0, 255)))
    pen = ImageDraw.Draw(picture)
    if shape == "disc":
        pen.ellipse([*(centre - radius), *(centre + radius)], fill=tint)
    else:
        corners = rng.uniform(0, math.pi / 2) + np.arange(4) * math.pi / 2
        points = centre + radius * 1.2 * np.stack([np.cos(corners), np.sin(corners)], axis=1)
        pen.polygon([tuple(point) for point in points], fill=tint)
    return _noisy(np.asarray(picture.resize((side, side), Image.Resampling.BOX), float), 8, rng)


def _ring(side: int, rng: Generator, *, broken: bool) -> Images:
    size = OVERSAMPLING * side
    picture = Image.new("L", (size, size), 40)
    radius = size * rng.uniform(0.2, 0.32)
    centre = rng.uniform(radius + 8, size - radius - 8, 2)
    start = rng.uniform(0, 360)
    box = [*(centre - radius), *(centre + radius)]
    ImageDraw.Draw(picture).arc(box, start, start + (295 if broken else 360), fill=200, width=size // 12)
    return _noisy(np.asarray(picture.resize((side, side), Image.Resampling.BOX), float), 20, rng)


def _noisy(values: NDArray[np.float64], strength: float, rng: Generator) -> Images:
    return np.clip(values + rng.normal(0, strength, values.shape), 0, 255).round().astype(np.uint8)


def linear_answers(
    train: Images, labels: NDArray[np.integer], test: Images, iterations: int = 15
) -> NDArray[np.integer]:
    """Return the answers of scikit-learn's logistic regression of pixels.

    More iterations change its accuracy by less than 0.04.

    Args:
        train: Training images.
        labels: Their labels.
        test: Images to answer for.
        iterations: Iterations of the solver.
    """
    from sklearn.linear_model import LogisticRegression

    flat = [images.reshape(len(images), -1).astype(np.float32) / 255 for images in (train, test)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = LogisticRegression(max_iter=iterations).fit(flat[0], labels)
    answers: NDArray[np.integer] = fitted.predict(flat[1])
    return answers
