from collections.abc import Callable
from pathlib import Path

import numpy as np

from components.common.data.dataset import Split, open_split
from components.train.order import BatchOrder
from tests.records import prepared

MakeSplit = Callable[..., Split]


def test_a_pass_covers_every_image_once(make_split: MakeSplit) -> None:
    order = BatchOrder(make_split(23), batch_size=7, seed=0)

    rows = order.rows(0, 7).tolist()

    assert len(rows) == 49
    assert sorted(rows[:23]) == sorted(rows[23:46]) == list(range(23))
    assert rows[:23] != rows[23:46]
    assert rows[:23] != sorted(rows[:23])


def test_the_order_depends_on_the_seed_alone(make_split: MakeSplit) -> None:
    split = make_split(40)
    whole = BatchOrder(split, 8, seed=0).rows(0, 12)
    in_parts = [BatchOrder(split, 8, seed=0).rows(first, first + 3) for first in range(0, 12, 3)]

    np.testing.assert_array_equal(np.concatenate(in_parts), whole)
    np.testing.assert_array_equal(BatchOrder(split, 4, seed=0).rows(0, 24), whole)
    assert (BatchOrder(split, 8, seed=1).rows(0, 12) != whole).any()


def test_batches_are_read_from_what_is_mapped_from_disk(make_split: MakeSplit, tmp_path: Path) -> None:
    split = make_split(23)
    prepared(tmp_path / "data", {"train": split})
    mapped = open_split(tmp_path / "data", "train")
    assert not mapped.images.flags.writeable

    images, labels = BatchOrder(mapped, 5, seed=3).batches(2, 6)

    rows = BatchOrder(split, 5, seed=3).rows(2, 6)
    assert (images.shape, str(images.dtype), labels.shape) == ((4, 5, *split.spec.shape), "uint8", (4, 5))
    np.testing.assert_array_equal(images.reshape(-1, *split.spec.shape), split.images[rows])
    np.testing.assert_array_equal(labels.ravel(), split.labels[rows])
