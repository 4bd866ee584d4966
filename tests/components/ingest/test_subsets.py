from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.ingest.subsets import chosen_subset, files_by_part, set_and_part


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("train", ("plain", "train")),
        ("t10k", ("plain", "test")),
        ("emnist-letters-test", ("emnist-letters", "test")),
        ("mnist_train", ("mnist", "train")),
        ("train-00000-of-00002", ("plain", "train")),
        ("test-00000-of-00001-0123456789abcdef", ("plain", "test")),
        ("Fashion.Validation", ("Fashion", "validation")),
        ("trainings", ("trainings", None)),
        ("mnist_784", ("mnist_784", None)),
        ("0001", ("plain", None)),
        ("train-3", ("plain", "train")),
        ("part-00000-0123abcd-c000.snappy", ("plain", None)),
        ("cifar-10-train", ("cifar-10", "train")),
    ],
)
def test_a_files_name_says_set_and_part(stem: str, expected: tuple[str, str | None]) -> None:
    assert set_and_part(stem) == expected


def test_files_are_sorted_into_sets_and_parts() -> None:
    names = ["b-train.csv", "train.csv", "b-test.csv.gz", "sample.csv", ".train.csv", "train.txt"]
    sets, others = files_by_part(map(Path, names), (".csv.gz", ".csv"))
    assert sets == {
        "b": {"test": [Path("b-test.csv.gz")], "train": [Path("b-train.csv")]},
        "plain": {"train": [Path("train.csv")]},
    }
    assert others == [Path("sample.csv")]


def test_files_without_a_part_are_training_parts_where_no_other_has_one() -> None:
    sets, others = files_by_part([Path("a.csv"), Path("b.csv")], (".csv",))
    assert sets == {"a": {"train": [Path("a.csv")]}, "b": {"train": [Path("b.csv")]}}
    assert others == []


def test_one_set_needs_no_choice_and_a_wrong_one_is_refused() -> None:
    assert chosen_subset({"a": 1}, None, "data") == ("a", 1)
    assert chosen_subset({"a": 1, "b": 2}, "b", "data") == ("b", 2)
    with pytest.raises(
        PipelineError, match=r"^data must hold one data set but holds a, b: set data.subset .*\.$"
    ):
        chosen_subset({"a": 1, "b": 2}, None, "data")
    with pytest.raises(PipelineError, match=r"^data.subset must be .* but is 'c': set it to one of a\.$"):
        chosen_subset({"a": 1}, "c", "data")
