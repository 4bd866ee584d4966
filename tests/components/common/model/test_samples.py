from pathlib import Path

import numpy as np

from components.common.data.dataset import Split
from components.common.data.spec import ImageSpec
from components.common.model.samples import MOST_SAMPLES, load_samples, save_samples
from tests.records import COLOUR, random_split


def test_the_first_image_of_each_class_is_kept(tmp_path: Path) -> None:
    split = random_split(9, spec=COLOUR)
    shuffled = Split(split.images[::-1], split.labels[::-1], COLOUR)
    save_samples(tmp_path, shuffled)
    samples = load_samples(tmp_path)
    assert samples is not None
    np.testing.assert_array_equal(samples, split.images[[6, 7, 8]])


def test_of_many_classes_some_are_kept_and_classes_without_an_image_are_left_out(tmp_path: Path) -> None:
    spec = ImageSpec(4, 4, 1, tuple(map(str, range(300))))
    split = random_split(299, spec=spec)
    save_samples(tmp_path, Split(split.images[1:], split.labels[1:], spec))
    samples = load_samples(tmp_path)
    assert samples is not None
    np.testing.assert_array_equal(samples, split.images[1 : MOST_SAMPLES + 1])


def test_a_directory_may_be_without_samples(tmp_path: Path) -> None:
    assert load_samples(tmp_path) is None
