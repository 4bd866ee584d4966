"""The test part that is held out of data without one."""

import numpy as np

from components.common.data.digests import image_digests
from components.ingest.holdout import held_out
from tests.records import random_split


def test_about_a_fifth_of_the_images_is_held_out() -> None:
    split = random_split(5000)
    chosen = held_out(image_digests(split.chunks(), b"23"), split.labels)
    assert 900 < chosen.sum() < 1100
    assert np.bincount(split.labels[chosen]).min() > 60


def test_an_image_stays_where_it_is_when_others_are_added() -> None:
    split = random_split(3000)
    digests = image_digests(split.chunks(), b"23")
    before = held_out(digests[:1000], split.labels[:1000])
    np.testing.assert_array_equal(held_out(digests, split.labels)[:1000], before)


def test_another_seed_holds_other_images_out() -> None:
    split = random_split(1000)
    one, other = (held_out(image_digests(split.chunks(), seed), split.labels) for seed in (b"1", b"2"))
    assert 0 < (one & other).sum() < one.sum() / 2


def test_equal_images_are_in_one_part_and_every_class_has_a_test_image() -> None:
    split = random_split(40)
    split.images[20:] = split.images[:20]
    chosen = held_out(image_digests(split.chunks(), b"0"), split.labels)
    np.testing.assert_array_equal(chosen[:20], chosen[20:])
    assert set(split.labels[chosen]) == set(range(10))
