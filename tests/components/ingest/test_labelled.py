import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest
from numpy.typing import ArrayLike

from components.common.data.dataset import Split
from components.common.data.raw_data import open_part, write_part
from components.common.data.source import LabelledBatch
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.storage.object_store import ObjectStore
from components.ingest import labelled
from components.ingest.labelled import merge_labelled
from tests.records import COLOUR, random_split

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Case:
    """A data set with labelled batches; `new` is images that it does not have."""

    store: ObjectStore
    client: "S3Client"
    raw: Path
    new: Split

    @property
    def train(self) -> Split:
        return make_part(20, 0)

    @property
    def test(self) -> Split:
        return make_part(10, 1)

    def put(self, key: str, images: ArrayLike, labels: ArrayLike) -> None:
        self.put_arrays(key, {"images": images, "labels": labels})

    def put_arrays(self, key: str, arrays: dict[str, ArrayLike]) -> None:
        content = BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]
        self.client.put_object(Bucket=self.store.bucket, Key=key, Body=content.getvalue())

    def merge(self, share: float = 1.0) -> tuple[Split, tuple[LabelledBatch, ...]]:
        with TemporaryDirectory() as scratch:
            batches = merge_labelled(self.store, "small", self.raw, self.new.spec, Path(scratch), share)
        return open_part(self.raw, "train", self.new.spec), batches


def make_part(count: int, seed: int, spec: ImageSpec = MNIST_SPEC) -> Split:
    return random_split(count, seed, spec)


@pytest.fixture
def case(store: ObjectStore, s3_client: "S3Client", tmp_path: Path) -> Case:
    write_part(tmp_path, "train", make_part(20, 0))
    write_part(tmp_path, "test", make_part(10, 1))
    return Case(store, s3_client, tmp_path, make_part(10, 2))


def counts(batches: tuple[LabelledBatch, ...]) -> list[tuple[str, int, int, int]]:
    return [(batch.key, batch.used, batch.duplicates, batch.in_test) for batch in batches]


def test_other_objects_than_batches_of_the_data_set_change_nothing(case: Case) -> None:
    for key in ("labelled/other/a.npz", "labelled/small-2/a.npz", "labelled/small/a.npz.partial"):
        case.put(key, case.new.images, case.new.labels)
    merged, batches = case.merge()
    assert batches == ()
    np.testing.assert_array_equal(merged.images, case.train.images)


def test_batches_are_appended_in_the_order_of_their_keys(case: Case) -> None:
    case.put("labelled/small/b.npz", case.new.images[6:], case.new.labels[6:])
    case.put("labelled/small/a.npz", case.new.images[:6], case.new.labels[:6].astype(np.int64))
    merged, batches = case.merge()
    np.testing.assert_array_equal(merged.images, np.concatenate([case.train.images, case.new.images]))
    np.testing.assert_array_equal(merged.labels, np.concatenate([case.train.labels, case.new.labels]))
    assert merged.labels.dtype == np.uint8
    assert counts(batches) == [("labelled/small/a.npz", 6, 0, 0), ("labelled/small/b.npz", 4, 0, 0)]
    assert len({batch.sha256 for batch in batches}) == 2


def test_known_images_and_test_images_are_left_out(case: Case) -> None:
    known = [(case.train, slice(0, 3)), (case.test, slice(4, 5))]
    new = [(case.new, slice(0, 2)), (case.new, slice(1, 2))]
    images = np.concatenate([split.images[rows] for split, rows in known + new])
    labels = np.concatenate([split.labels[rows] for split, rows in known + new])
    case.put("labelled/small/a.npz", images, labels)
    case.put("labelled/small/b.npz", images, labels)
    merged, batches = case.merge()
    np.testing.assert_array_equal(merged.images, np.concatenate([case.train.images, case.new.images[:2]]))
    assert counts(batches) == [("labelled/small/a.npz", 2, 4, 1), ("labelled/small/b.npz", 0, 6, 1)]


def test_an_image_of_both_parts_counts_as_one_of_the_test_part(case: Case) -> None:
    case.put("labelled/small/a.npz", case.train.images[:1], case.train.labels[:1])
    write_part(case.raw, "test", case.train)
    _, batches = case.merge()
    assert counts(batches) == [("labelled/small/a.npz", 0, 0, 1)]


@pytest.mark.parametrize(
    ("where", "place"),
    [("train", "the training part"), ("test", "the test part"), ("new", "s3://.*/labelled/small/a.npz")],
)
def test_a_batch_with_conflicting_labels_is_left_out(case: Case, where: str, place: str) -> None:
    case.put("labelled/small/a.npz", case.new.images, case.new.labels)
    case.put("labelled/small/c.npz", case.new.images[:1], case.new.labels[:1])
    split: Split = getattr(case, where)
    case.put("labelled/small/b.npz", [case.new.images[0], split.images[3]], [0, 8])
    merged, batches = case.merge()
    message = f"image 1 of s3://.*/small/b.npz is labelled 8 and image 3 of {place} is labelled 3: correct"
    assert re.search(message, batches[1].left_out)
    assert [(batch.used, batch.duplicates, batch.left_out != "") for batch in batches] == [
        (10, 0, False),
        (0, 0, True),
        (0, 1, False),
    ]
    assert len(merged.labels) == 30


def test_batches_that_would_be_too_many_new_images_are_left_out(case: Case) -> None:
    case.put("labelled/small/a.npz", case.new.images[:6], case.new.labels[:6])
    case.put("labelled/small/b.npz", case.new.images[4:], case.new.labels[4:])
    case.put("labelled/small/c.npz", case.new.images[6:8], case.new.labels[6:8])
    merged, batches = case.merge(share=0.4)
    assert [batch.used for batch in batches] == [6, 0, 2]
    assert re.match(
        "new images must be at most 8 but s3://.*/labelled/small/b.npz makes them 10: raise",
        batches[1].left_out,
    )
    np.testing.assert_array_equal(merged.images, np.concatenate([case.train.images, case.new.images[:8]]))


def test_labels_may_name_classes_and_images_may_have_colours(case: Case, tmp_path: Path) -> None:
    raw = tmp_path / "colour"
    raw.mkdir()
    for part, seed in (("train", 0), ("validation", 1), ("test", 2)):
        write_part(raw, part, random_split(6, seed, COLOUR))
    validation, new = random_split(6, 1, COLOUR), random_split(3, 3, COLOUR)
    images = np.concatenate([new.images, validation.images[:1]])
    case.put("labelled/boots/a.npz", images, ["coat", "bag", "ankle boot", "ankle boot"])
    batches = merge_labelled(case.store, "boots", raw, COLOUR, tmp_path)
    assert counts(batches) == [("labelled/boots/a.npz", 3, 0, 1)]
    merged = open_part(raw, "train", COLOUR)
    np.testing.assert_array_equal(merged.images[6:], new.images)
    assert merged.labels[6:].tolist() == [2, 1, 0]
    case.put("labelled/boots/b.npz", new.images, ["coat", "bag", "shoe"])
    *_, last = merge_labelled(case.store, "boots", raw, COLOUR, tmp_path)
    assert "labels must be classes of the data set but 'shoe' is none" in last.left_out


BLACK = np.zeros((2, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": BLACK}, " must be an npz archive with images and labels but lacks labels: "),
        ({"images": BLACK + 0.3, "labels": [0, 1]}, ": images: fractional pixels must be"),
        (
            {"images": BLACK[:, 1:], "labels": [0, 1]},
            ": images: images must be N x 28 x 28 x 1 .* 2 x 27 x 28 x 1",
        ),
        ({"images": BLACK, "labels": [0, 10]}, ": labels must be 0 to 9 but number 1 is 10"),
        (
            {"images": BLACK, "labels": [0]},
            ": labels: each image must have a label but there are 2 images in .* and 1 labels",
        ),
        (
            {"images": BLACK, "labels": np.array([0x110000] * 2, np.uint32).view("<U1")},
            ": labels must be an intact array but is not ",
        ),
        (
            {"images": BLACK, "labels": ["x" * 1000] * 2},
            ": labels must be classes of the data set but 'x{119} is none: ",
        ),
        (
            {"images": np.zeros((51, 28, 28)), "labels": [0] * 51},
            ": the number of its images must be at most 50 but is 51: ",
        ),
        ({"images": 5, "labels": 1}, ": images must hold images but holds none: "),
    ],
)
def test_a_bad_batch_is_left_out_and_told_by_key(
    case: Case, arrays: dict[str, ArrayLike], message: str
) -> None:
    case.put("labelled/small/0-good.npz", case.new.images, case.new.labels)
    case.put_arrays("labelled/small/a.npz", arrays)
    merged, (good, bad) = case.merge()
    assert (good.used, good.left_out, bad.used) == (10, "", 0)
    assert re.match(f"{case.store.uri('labelled/small/a.npz')}{message}", bad.left_out)
    assert len(merged.labels) == 30


@pytest.mark.parametrize(
    ("bound", "most", "reason"),
    [
        ("LARGEST_BATCH", 4000, r"its bytes must be at most 4,000 but is 5,\d{3}: split it"),
        (
            "LARGEST_BATCHES",
            8000,
            r"its bytes, beside the batches before it, must be at most 4,\d{3} but is 5,\d{3}: take some away",
        ),
    ],
)
def test_a_batch_beyond_a_bound_is_left_out_before_it_is_fetched(
    case: Case, bound: str, most: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled, bound, most)
    for name, rows in (("a", slice(0, 2)), ("b", slice(2, 8)), ("c", slice(8, 10))):
        case.put(f"labelled/small/{name}.npz", case.new.images[rows], case.new.labels[rows])
    merged, batches = case.merge()
    assert [batch.used for batch in batches] == [2, 0, 2]
    assert re.fullmatch(rf"s3://.*/labelled/small/b\.npz: {reason}\.", batches[1].left_out)
    assert [bool(batch.sha256) for batch in batches] == [True, False, True]
    np.testing.assert_array_equal(merged.images[20:], case.new.images[[0, 1, 8, 9]])


def test_what_a_batch_unpacks_to_counts_too(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "LARGEST_BATCHES", 30_000)
    content = BytesIO()
    np.savez_compressed(content, images=np.zeros((40, 28, 28), np.uint8), labels=np.zeros(40, np.uint8))
    case.client.put_object(Bucket=case.store.bucket, Key="labelled/small/a.npz", Body=content.getvalue())
    _, (batch,) = case.merge()
    assert re.search(r"must be at most 29,\d{3} but is 31,400: take some away", batch.left_out)


def test_batches_beyond_the_most_are_told_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "MOST_BATCHES", 2)
    for number in range(4):
        case.put(f"labelled/small/{number}.npz", case.new.images[[number]], case.new.labels[[number]])
    merged, batches = case.merge()
    assert counts(batches) == [(f"labelled/small/{number}.npz", int(number < 2), 0, 0) for number in range(3)]
    assert "at most 2 but are 4, so it and those after it are not read" in batches[2].left_out
    assert len(merged.labels) == 22


def test_a_batch_that_is_left_out_decides_nothing_on_those_after_it(case: Case) -> None:
    case.put("labelled/small/a.npz", case.new.images, case.new.labels)
    case.put("labelled/small/b.npz", case.new.images[:1], [7])
    merged, batches = case.merge(share=0.4)
    assert [batch.used for batch in batches] == [0, 1]
    assert merged.labels[20:].tolist() == [7]


def test_one_batch_is_on_the_disk_at_a_time(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[list[Path]] = []
    download = ObjectStore.download

    def watched(self: ObjectStore, key: str, target: Path) -> bool:
        there.append(list(target.parent.glob("*.npz")))
        return download(self, key, target)

    monkeypatch.setattr(ObjectStore, "download", watched)
    for number in range(3):
        case.put(f"labelled/small/{number}.npz", case.new.images[[number]], case.new.labels[[number]])
    merged, _ = case.merge()
    assert there == [[], [], []]
    np.testing.assert_array_equal(merged.images[20:], case.new.images[:3])


def test_no_memory_is_no_fault_of_a_batch(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise PipelineError("it must be read") from MemoryError()

    monkeypatch.setattr(labelled, "NpyFile", fail)
    case.put("labelled/small/a.npz", case.new.images, case.new.labels)
    with pytest.raises(PipelineError, match="it must be read"):
        case.merge()
