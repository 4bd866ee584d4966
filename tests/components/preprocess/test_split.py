"""The split into training and validation examples."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from components.common.data.dataset import Split
from components.common.data.info import SplitOptions
from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.preprocess.split import Rows, split_options, split_rows, used_rows


def _split(labels: NDArray[Any], options: SplitOptions) -> tuple[Rows, Rows]:
    return split_rows(used_rows(labels, MNIST_SPEC, options), labels, MNIST_SPEC, options)


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
    train, validation = _split(part.labels, SplitOptions(seed, stratify, 1))
    found = part.images[train], part.images[validation], part.labels[train], part.labels[validation]
    for array, expected_array in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, expected_array)


def test_a_stratified_split_keeps_the_balance(make_split: Callable[..., Split]) -> None:
    labels = make_split(100).labels
    train, validation = _split(labels, SplitOptions(23, True, 0.5))
    assert np.bincount(labels[train]).tolist() == [4] * 10
    assert np.bincount(labels[validation]).tolist() == [1] * 10


@pytest.mark.parametrize(("fraction", "train", "validation"), [(0.5, 40, 10), (0.99, 79, 20), (0.03, 2, 1)])
def test_a_fraction_is_a_smaller_choice_of_the_same_images(
    make_split: Callable[..., Split], fraction: float, train: int, validation: int
) -> None:
    labels = make_split(100).labels
    found = _split(labels, SplitOptions(23, False, fraction))
    again = _split(labels, SplitOptions(23, False, fraction))
    other = _split(labels, SplitOptions(24, False, fraction))
    assert tuple(map(len, found)) == (train, validation)
    assert len({*found[0].tolist(), *found[1].tolist()}) == train + validation
    np.testing.assert_array_equal(found[0], again[0])
    assert not np.array_equal(found[0], other[0])


@pytest.mark.parametrize(
    ("count", "stratify", "fraction"),
    [(1, False, 1.0), (10, False, 0.01), (20, True, 1.0), (100, True, 0.05)],
)
def test_too_few_examples_are_refused(
    make_split: Callable[..., Split], count: int, fraction: float, *, stratify: bool
) -> None:
    message = (
        rf"must have enough examples to split with fraction {fraction} but has {count} \(.*: use more data"
    )
    with pytest.raises(PipelineError, match=message):
        _split(make_split(count).labels, SplitOptions(23, stratify, fraction))


def test_a_class_of_one_image_cannot_be_stratified(make_split: Callable[..., Split]) -> None:
    with pytest.raises(PipelineError, match="at least two training images but 0, 1, 2, 3, 4 has one: add"):
        _split(make_split(10).labels, SplitOptions(23, True, 1))


@pytest.mark.parametrize(
    ("asked", "rarest", "fraction", "stratified"),
    [
        (None, 50, 1.0, False),
        (None, 49, 1.0, True),
        (None, 50, 0.5, False),
        (False, 3, 1.0, False),
        (True, 5000, 1.0, True),
    ],
)
def test_a_rare_class_makes_the_split_stratified(
    asked: bool | None, rarest: int, fraction: float, *, stratified: bool
) -> None:
    labels = np.repeat([0, 1], [200, rarest])
    plan = DataPlan(stratify=asked, fraction=fraction)
    assert split_options(labels, plan) == SplitOptions(23, stratified, fraction)
