"""Split of the training part into training and validation examples."""

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.errors import PipelineError, first_line

VALIDATION_SHARE = 0.2


def split_development(part: Split, seed: int, *, stratify: bool, fraction: float) -> dict[str, Split]:
    """Split into `train` and `validation` with scikit-learn's `train_test_split`; `validation` is one fifth.

    Args:
        part: All examples that are not for testing.
        seed: Chooses the examples of both splits.
        stratify: Keep each class's share equal in both splits.
        fraction: Share of `part` that is used, chosen by the same seed; the rest goes into neither split.

    Raises:
        PipelineError: There are too few examples for such a split.
    """
    from sklearn.model_selection import train_test_split

    def divide(numbers: NDArray[np.intp], **sizes: float) -> list[NDArray[np.intp]]:
        strata = part.labels[numbers] if stratify else None
        divided: list[NDArray[np.intp]] = train_test_split(
            numbers, random_state=seed, stratify=strata, **sizes
        )
        return divided

    numbers = np.arange(len(part.labels))
    try:
        if fraction < 1:
            numbers, _ = divide(numbers, train_size=fraction)
        train, validation = divide(numbers, test_size=VALIDATION_SHARE)
    except ValueError as error:
        raise PipelineError(
            f"the training part must have enough examples to split with fraction {fraction} but has "
            f"{len(part.labels)} ({first_line(error).removesuffix('.')}): use more data or a larger fraction."
        ) from error
    return {
        "train": Split(part.images[train], part.labels[train]),
        "validation": Split(part.images[validation], part.labels[validation]),
    }
