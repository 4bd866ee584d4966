from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from components.common.dataset import Split
from components.common.errors import PipelineError
from components.common.object_store import ObjectStore
from components.common.raw_data import LabelledBatch
from components.ingest.labelled import merge_labelled

PutBatch = Callable[..., None]


@pytest.fixture
def put_batch(store: ObjectStore, s3_client: Any) -> PutBatch:
    def put(key: str, **arrays: Any) -> None:
        content = BytesIO()
        np.savez(content, **arrays)
        s3_client.put_object(Bucket=store.bucket, Key=key, Body=content.getvalue())

    return put


@pytest.fixture
def train(make_split: Callable[..., Split]) -> Split:
    return make_split(20)


@pytest.fixture
def test_part(make_split: Callable[..., Split]) -> Split:
    return make_split(10, seed=1)


def counts(batches: tuple[LabelledBatch, ...]) -> list[tuple[str, int, int, int]]:
    return [(batch.key, batch.used, batch.duplicates, batch.in_test) for batch in batches]


def test_without_batches_nothing_changes(
    store: ObjectStore, put_batch: PutBatch, train: Split, test_part: Split, make_split: Callable[..., Split]
) -> None:
    extra = make_split(10, seed=2)
    put_batch("labelled/other/a.npz", images=extra.images, labels=extra.labels)
    put_batch("labelled/small-2/a.npz", images=extra.images, labels=extra.labels)
    put_batch("labelled/small/a.npz.partial", images=extra.images, labels=extra.labels)
    assert merge_labelled(store, "small", train, test_part) == (train, ())


def test_batches_are_appended_in_the_order_of_their_keys(
    store: ObjectStore, put_batch: PutBatch, train: Split, test_part: Split, make_split: Callable[..., Split]
) -> None:
    first, second = make_split(10, seed=2), make_split(5, seed=3)
    put_batch("labelled/small/b.npz", images=second.images, labels=second.labels)
    put_batch("labelled/small/a.npz", images=first.images, labels=first.labels.astype(np.int64))
    merged, batches = merge_labelled(store, "small", train, test_part)
    np.testing.assert_array_equal(merged.images, np.concatenate([train.images, first.images, second.images]))
    np.testing.assert_array_equal(merged.labels, np.concatenate([train.labels, first.labels, second.labels]))
    assert merged.labels.dtype == np.uint8
    assert counts(batches) == [("labelled/small/a.npz", 10, 0, 0), ("labelled/small/b.npz", 5, 0, 0)]
    assert len({batch.sha256 for batch in batches}) == 2


def test_known_images_are_left_out_and_test_images_never_trained_on(
    store: ObjectStore, put_batch: PutBatch, train: Split, test_part: Split, make_split: Callable[..., Split]
) -> None:
    new = make_split(2, seed=2)
    parts = [(train, slice(0, 3)), (test_part, slice(4, 5)), (new, slice(0, 2)), (new, slice(1, 2))]
    images = np.concatenate([split.images[rows] for split, rows in parts])
    labels = np.concatenate([split.labels[rows] for split, rows in parts])
    put_batch("labelled/small/a.npz", images=images, labels=labels)
    put_batch("labelled/small/b.npz", images=images, labels=labels)
    merged, batches = merge_labelled(store, "small", train, test_part)
    np.testing.assert_array_equal(merged.images, np.concatenate([train.images, new.images]))
    assert counts(batches) == [("labelled/small/a.npz", 2, 4, 1), ("labelled/small/b.npz", 0, 6, 1)]


def test_a_test_image_that_the_training_part_has_too_counts_as_one_of_the_test_part(
    store: ObjectStore, put_batch: PutBatch, train: Split
) -> None:
    put_batch("labelled/small/a.npz", images=train.images[:1], labels=train.labels[:1])
    _, batches = merge_labelled(store, "small", train, train)
    assert counts(batches) == [("labelled/small/a.npz", 0, 0, 1)]


@pytest.mark.parametrize(
    ("where", "place"),
    [("train", "the training part"), ("test", "the test part"), ("batch", "s3://.*/labelled/small/a.npz")],
)
def test_conflicting_labels_are_refused(
    store: ObjectStore,
    put_batch: PutBatch,
    train: Split,
    test_part: Split,
    make_split: Callable[..., Split],
    where: str,
    place: str,
) -> None:
    new = make_split(4, seed=2)
    put_batch("labelled/small/a.npz", images=new.images, labels=new.labels)
    image = {"train": train, "test": test_part, "batch": new}[where].images[3]
    put_batch("labelled/small/b.npz", images=np.stack([new.images[0], image]), labels=[0, 8])
    message = (
        f"image 1 of s3://.*/labelled/small/b.npz is labelled 8 and image 3 of {place} is labelled 3; correct"
    )
    with pytest.raises(PipelineError, match=message):
        merge_labelled(store, "small", train, test_part)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"images": np.zeros((2, 28, 28), np.uint8)},
            "a.npz: must hold the arrays images, labels but lacks labels",
        ),
        (
            {"images": np.zeros((0, 28, 28), np.uint8), "labels": []},
            "a.npz: images: there must be at least one",
        ),
        ({"images": np.zeros((2, 28, 28)), "labels": [0, 1]}, "a.npz: images: .* of type float64"),
        ({"images": np.zeros((2, 28, 28), np.uint8), "labels": [0, 10]}, "a.npz: labels: .* number 1 is 10"),
        (
            {"images": np.zeros((2, 28, 28), np.uint8), "labels": [0]},
            "a.npz: labels: .* 2 images .* 1 labels",
        ),
    ],
)
def test_a_bad_batch_is_refused_by_key(
    store: ObjectStore,
    put_batch: PutBatch,
    train: Split,
    test_part: Split,
    arrays: dict[str, Any],
    message: str,
) -> None:
    put_batch("labelled/small/a.npz", **arrays)
    with pytest.raises(PipelineError, match=f"^{store.uri('labelled/small/')}{message}"):
        merge_labelled(store, "small", train, test_part)
