from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.errors import PipelineError
from components.preprocess.validation import Observed, SplitReport, ValidationReport, validate
from tests.records import COLOUR, random_split

Splits = dict[str, Split]


def examine(splits: Splits) -> ValidationReport:
    observed = {name: Observed(split) for name, split in splits.items()}
    for split in observed.values():
        for _ in split.chunks():
            pass
    return validate(observed)


@pytest.fixture
def splits(make_split: Callable[..., Split]) -> Splits:
    return {name: make_split(20, seed) for seed, name in enumerate(("train", "validation", "test"))}


def test_sound_data_is_described_without_warnings(splits: Splits) -> None:
    images = splits["train"].images
    images[0, 0, :2, 0] = 0, 255
    report = examine(splits)
    assert report.splits["train"] == SplitReport(
        shape=(20, 28, 28),
        dtype="uint8",
        pixel_min=0,
        pixel_max=255,
        pixel_mean=round(float(images.mean()), 3),
        class_counts=(2,) * 10,
        imbalance=1.0,
        duplicates=0,
    )
    assert report.shared == {"train+validation": 0, "train+test": 0, "validation+test": 0}
    assert report.warnings == ()


def repeat_images(splits: Splits) -> None:
    splits["train"].images[1:3] = splits["train"].images[0]


def leak_into_test(splits: Splits) -> None:
    splits["test"].images[:2] = splits["train"].images[4:6]


def leak_into_validation(splits: Splits) -> None:
    splits["validation"].images[7] = splits["train"].images[4]


def darken(splits: Splits) -> None:
    splits["validation"].images[:] = splits["validation"].images > 127


def drop_class_from_test(splits: Splits) -> None:
    test = splits["test"]
    splits["test"] = Split(test.images[:19], test.labels[:19] % 9, test.spec)


def unbalance(splits: Splits) -> None:
    splits["train"].labels[10:17] = 0


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (repeat_images, "train repeats 2 of its images"),
        (leak_into_test, "train and test share 2 images"),
        (leak_into_validation, "train and validation share 1 images"),
        (darken, "validation has no pixel brighter than 1, where 255 is white"),
        (drop_class_from_test, "test has no examples of class 9"),
        (unbalance, "train has 8 times as many examples of one class as of another"),
    ],
)
def test_unusual_data_gives_a_warning(splits: Splits, change: Callable[[Splits], None], warning: str) -> None:
    change(splits)
    assert examine(splits).warnings == (warning,)


def test_duplicates_are_counted(splits: Splits) -> None:
    repeat_images(splits)
    leak_into_test(splits)
    report = examine(splits)
    assert [split.duplicates for split in report.splits.values()] == [2, 0, 0]
    assert report.shared == {"train+validation": 0, "train+test": 2, "validation+test": 0}


@pytest.mark.parametrize("name", ["train", "validation", "test"])
@pytest.mark.parametrize("value", [0, 255])
def test_blank_images_stop_the_run(splits: Splits, name: str, value: int) -> None:
    splits[name].images[:] = value
    with pytest.raises(PipelineError, match=f"every pixel of the {name} split is {value}:"):
        examine(splits)


def test_a_class_that_cannot_be_learnt_stops_the_run(splits: Splits) -> None:
    labels = np.where(splits["train"].labels % 4 == 3, np.uint8(0), splits["train"].labels)
    splits["train"] = replace(splits["train"], labels=labels)
    with pytest.raises(PipelineError, match="examples of all 10 classes but has none of 3, 7:"):
        examine(splits)


def test_a_test_split_of_one_class_stops_the_run(splits: Splits) -> None:
    splits["test"].labels[:] = 3
    with pytest.raises(
        PipelineError, match="test split must have examples of several classes but all are of 3"
    ):
        examine(splits)


def test_classes_are_named_and_colour_images_are_described() -> None:
    splits = {
        name: random_split(9, seed, COLOUR) for seed, name in enumerate(("train", "validation", "test"))
    }
    assert examine(splits).splits["train"].shape == (9, 32, 32, 3)
    splits["test"].labels[splits["test"].labels == 2] = 0
    assert "test has no examples of class coat" in examine(splits).warnings
    splits["train"].labels[:] = 1
    with pytest.raises(PipelineError, match="of all 3 classes but has none of ankle boot, coat:"):
        examine(splits)


def test_chunks_do_not_change_the_report(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    leak_into_test(splits)
    whole = examine(splits)
    monkeypatch.setattr("components.common.data.dataset.CHUNK_BYTES", 3 * 784)
    assert examine(splits) == whole
