from collections.abc import Callable

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from components.common.data.dataset import Split, class_counts
from components.common.errors import PipelineError
from components.preprocess.split import split_development


@pytest.mark.parametrize("seed", [23, 0])
@pytest.mark.parametrize("stratify", [False, True])
def test_the_split_is_that_of_scikit_learn(
    make_split: Callable[..., Split], seed: int, *, stratify: bool
) -> None:
    part = make_split(100)
    expected = train_test_split(
        part.images,
        part.labels,
        test_size=0.2,
        random_state=seed,
        stratify=part.labels if stratify else None,
    )
    splits = split_development(part, seed, stratify=stratify, fraction=1)
    train, validation = splits["train"], splits["validation"]
    found = train.images, validation.images, train.labels, validation.labels
    for array, expected_array in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, expected_array)


def test_a_stratified_split_keeps_the_balance(make_split: Callable[..., Split]) -> None:
    splits = split_development(make_split(100), 23, stratify=True, fraction=0.5)
    assert class_counts(splits["train"].labels) == (4,) * 10
    assert class_counts(splits["validation"].labels) == (1,) * 10


@pytest.mark.parametrize(("fraction", "train", "validation"), [(0.5, 40, 10), (0.99, 79, 20), (0.03, 2, 1)])
def test_a_fraction_is_a_smaller_choice_of_the_same_images(
    make_split: Callable[..., Split], fraction: float, train: int, validation: int
) -> None:
    part = make_split(100)
    splits = split_development(part, 23, stratify=False, fraction=fraction)
    again = split_development(part, 23, stratify=False, fraction=fraction)
    other = split_development(part, 24, stratify=False, fraction=fraction)
    assert (len(splits["train"].labels), len(splits["validation"].labels)) == (train, validation)
    chosen = {image.tobytes() for split in splits.values() for image in split.images}
    assert len(chosen) == train + validation
    assert chosen < {image.tobytes() for image in part.images}
    np.testing.assert_array_equal(splits["train"].images, again["train"].images)
    assert not np.array_equal(splits["train"].images, other["train"].images)


@pytest.mark.parametrize(
    ("count", "stratify", "fraction"),
    [(1, False, 1.0), (10, False, 0.01), (10, True, 1.0), (100, True, 0.05)],
)
def test_too_few_examples_are_refused(
    make_split: Callable[..., Split], count: int, fraction: float, *, stratify: bool
) -> None:
    message = (
        rf"must have enough examples to split with fraction {fraction} but has {count} \(.*: use more data"
    )
    with pytest.raises(PipelineError, match=message):
        split_development(make_split(count), 23, stratify=stratify, fraction=fraction)
