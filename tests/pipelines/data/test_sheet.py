from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.common.data.dataset import Split
from components.common.data.raw_data import write_part
from components.common.data.spec import ImageSpec
from pipelines.data.sheet import CELL, EXAMPLES, GAP, MOST_CLASSES, draw_sheet
from tests.records import COLOUR, random_split


def _sheet(split: Split, directory: Path) -> np.ndarray:
    write_part(directory, "train", split)
    draw_sheet(directory, split.spec, directory / "sheet.png")
    with Image.open(directory / "sheet.png") as opened:
        return np.asarray(opened)


@pytest.mark.parametrize("spec", [COLOUR, ImageSpec(20, 28, 1, ("0", "1"))], ids=["colour", "grey"])
def test_each_class_has_a_row_of_its_first_images(spec: ImageSpec, tmp_path: Path) -> None:
    split = random_split(40, spec=spec)
    sheet = _sheet(split, tmp_path)
    times = CELL // max(spec.height, spec.width)
    height, width = spec.height * times, spec.width * times
    for label in range(len(spec.classes)):
        top = GAP + label * (height + GAP)
        left = sheet.shape[1] - EXAMPLES * (width + GAP)
        for column, image in enumerate(split.images[split.labels == label][:EXAMPLES]):
            start = left + column * (width + GAP)
            drawn = sheet[top : top + height : times, start : start + width : times]
            assert np.array_equal(drawn, np.broadcast_to(image, drawn.shape))


def test_a_class_with_few_images_leaves_the_rest_of_its_row_white(tmp_path: Path) -> None:
    sheet = _sheet(random_split(4, spec=COLOUR), tmp_path)
    below = sheet[GAP + 32 + GAP :]
    assert (below[:, -(EXAMPLES - 2) * (32 + GAP) :] == 255).all()


def test_many_classes_and_long_names_stay_within_bounds(tmp_path: Path) -> None:
    spec = ImageSpec(28, 28, 1, tuple(f"{number} {'long ' * 40}" for number in range(100)))
    sheet = _sheet(random_split(100, spec=spec), tmp_path)
    assert sheet.shape[0] == MOST_CLASSES * (CELL + GAP) + GAP
    assert sheet.shape[1] < 2 * EXAMPLES * CELL
