"""Split of the training part into training and validation examples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.info import SplitOptions
from components.common.data.source import VALIDATION_SHARE
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError, first_line
from components.common.plan.run import DataPlan

# A class with fewer training images is rare: a split that leaves its share to chance may leave it without any.
RARE = 50

Rows = NDArray[np.intp]


def split_options(labels: NDArray[Any], plan: DataPlan) -> SplitOptions:
    """Return how to split; where the plan does not say whether to stratify, a rare class decides.

    Args:
        labels: Labels of the training part.
        plan: The plan's data section.
    """
    stratify = bool(np.bincount(labels).min() < RARE) if plan.stratify is None else plan.stratify
    return SplitOptions(plan.split_seed, stratify, plan.fraction)


def used_rows(labels: NDArray[Any], spec: ImageSpec, options: SplitOptions) -> Rows:
    """Return the rows of the training part that are used: all, or the fraction that the seed chooses.

    Raises:
        PipelineError: There are too few examples for such a fraction.
    """
    rows = np.arange(len(labels))
    if options.fraction == 1:
        return rows
    used, _ = _divided(rows, labels, spec, options, train_size=options.fraction)
    return used


def split_rows(rows: Rows, labels: NDArray[Any], spec: ImageSpec, options: SplitOptions) -> tuple[Rows, Rows]:
    """Divide rows with scikit-learn's `train_test_split`; the second part, validation, is one fifth.

    Args:
        rows: Rows of the training part.
        labels: Labels of the whole training part.
        spec: Description of the images.
        options: Seed, and whether each class's share is kept equal in both parts.

    Raises:
        PipelineError: There are too few examples for such a split.
    """
    return _divided(rows, labels, spec, options, test_size=VALIDATION_SHARE)


def _divided(
    rows: Rows, labels: NDArray[Any], spec: ImageSpec, options: SplitOptions, **sizes: float
) -> tuple[Rows, Rows]:
    from sklearn.model_selection import train_test_split

    strata = labels[rows] if options.stratify else None
    if strata is not None:
        counts = np.bincount(strata, minlength=len(spec.classes))
        if (alone := np.flatnonzero(counts == 1)).size:
            raise PipelineError(
                "each class must have at least two training images but "
                f"{', '.join(spec.classes[place] for place in alone[:5])} has one: add images, or leave the class out."
            )
    try:
        first, second = train_test_split(rows, random_state=options.seed, stratify=strata, **sizes)
    except ValueError as error:
        raise PipelineError(
            f"the training part must have enough examples to split with fraction {options.fraction} but has "
            f"{len(labels)} ({first_line(error).removesuffix('.')}): use more data or a larger fraction."
        ) from error
    return first, second
