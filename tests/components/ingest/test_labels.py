from typing import Any

import numpy as np
import pytest

from components.common.errors import PipelineError
from components.ingest.labels import as_labels, resolve_classes

NAMES = ("cat", "dog", "owl")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array([3, 0, 255], np.uint8), [3, 0, 255]),
        (np.array([[3], [0]], np.int64), [3, 0]),
        (np.array([3.0, 0.0], np.float32), [3, 0]),
        (np.array([True, False]), [1, 0]),
        (np.array([[0, 1, 0], [1, 0, 0]]), [1, 0]),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), [1, 0]),
        (np.array([" cat", "dog"]), ["cat", "dog"]),
        (np.array([b"cat", "Käse".encode()]), ["cat", "Käse"]),
        (np.array(["cat", "dog"], object), ["cat", "dog"]),
        (np.array([3, np.int8(0)], object), [3, 0]),
        (np.array([["cat"], ["dog"]]), ["cat", "dog"]),
    ],
)
def test_labels_of_the_usual_kinds_are_read(given: Any, expected: list[Any]) -> None:
    assert as_labels(given, "train").tolist() == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            np.zeros((4, 14), np.uint8),
            "one class for each image, or one-hot rows, but are 4 x 14 of type uint8: ",
        ),
        (
            np.array([[1, 1], [0, 1]]),
            "one class for each image, or one-hot rows, but are 2 x 2 of type int64: ",
        ),
        (np.zeros((4, 2, 2)), "one for each image but are 4 x 2 x 2 of type float64: "),
        (np.array([0.0, 1.5]), "whole numbers or names but number 1 is 1.5: "),
        (np.array([0.0, np.nan]), "a label but 1 of 2 have none, number 1 first: "),
        (
            np.array([0, -1, -1]),
            "a label but 2 of 3 have none, number 1 first: .* where -1 is a class, count",
        ),
        (np.array([0, 2**63], np.uint64), "below 9223372036854775808 but number 1 is 9223372036854775808: "),
        (np.array([0, 1e30]), "below 9007199254740992 but number 1 is 1e.30: write them as texts"),
        (np.array(["cat", " "]), "a label but 1 of 2 have none, number 1 first: "),
        (np.array([None, "dog"], object), "a label but 1 of 2 have none, number 0 first: "),
        (np.array([1j, 0]), "whole numbers or names but are of type complex128: "),
    ],
)
def test_other_labels_are_refused(given: Any, message: str) -> None:
    with pytest.raises(PipelineError, match=rf"^train: .* must .*{message}.*\.$"):
        as_labels(given, "train")


def test_numbers_are_places_among_those_that_occur() -> None:
    found = resolve_classes({"train": np.array([7, 3, 10, 3]), "test": np.array([10, 7])}, (), "set")
    assert found.classes == ("3", "7", "10")
    assert {part: labels.tolist() for part, labels in found.labels.items()} == {
        "train": [1, 0, 2, 0],
        "test": [2, 1],
    }


def test_texts_are_sorted_with_2_before_10() -> None:
    found = resolve_classes({"train": np.array(["10", "2", "b", "a 10", "a 9"])}, (), "set")
    assert found.classes == ("2", "10", "a 9", "a 10", "b")
    assert found.labels["train"].tolist() == [1, 0, 4, 3, 2]


def test_names_are_looked_up_and_unused_ones_left_out() -> None:
    found = resolve_classes({"train": np.array([2, 0, 2])}, NAMES, "set")
    assert found.classes == ("cat", "owl")
    assert found.labels["train"].tolist() == [1, 0, 1]
    assert found.notes == ("left out are the classes without a training image: dog",)


def test_a_place_without_a_name_is_no_class() -> None:
    found = resolve_classes({"train": np.array([1, 2])}, ("", "a", "b"), "set")
    assert (found.classes, found.notes) == (("a", "b"), ())


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ({"train": []}, (), "the training part must hold images but holds none: "),
        ({"train": [5, 5]}, (), "at least two classes but the training part has only 5: "),
        ({"train": [0, 3]}, NAMES, "places in the list of 3 class names, 0 to 2, but are 0 to 3: "),
        ({"train": [-2, 1]}, NAMES, "places in the list of 3 class names, 0 to 2, but are -2 to 1: "),
        ({"train": [0, 1]}, ("cat", "cat"), "class names must differ but 'cat' occurs twice: "),
        (
            {"train": [0, 1]},
            ("", "a"),
            "a printable name of at most 100 characters but that of label 0 is '': ",
        ),
        ({"train": [0, 1]}, ("a", "b\nc"), r"a printable name .* but that of label 1 is 'b\\nc': "),
        (
            {"train": ["a", "b" * 101]},
            (),
            "a printable name .* but that of label bbbbbbbbbbbbbbbbbbbb is 'bbb",
        ),
        (
            {"train": [0, 1], "test": [1, 2, 2]},
            (),
            r"class of the test part .* but 2 has none \(2 images\): ",
        ),
        (
            {"train": ["a", "b"], "test": ["c"]},
            (),
            r"class of the test part .* but c has none \(1 images\): ",
        ),
        ({"train": range(10_001)}, (), "the number of classes must be at most 10,000 but is 10,001: "),
    ],
)
def test_classes_that_cannot_be_learned_are_refused(
    labels: Any, names: tuple[str, ...], message: str
) -> None:
    arrays = {part: np.array(values) for part, values in labels.items()}
    with pytest.raises(PipelineError, match=rf"^set: .*{message}.*\.$"):
        resolve_classes(arrays, names, "set")


def test_texts_have_to_have_room_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    given = np.array(["cat", "dog"] * 9 + ["owl" * 9], object)
    assert as_labels(given, "train")[-1] == "owl" * 9
    monkeypatch.setattr("components.ingest.labels.LARGEST_IN_MEMORY", 2000)
    with pytest.raises(PipelineError, match="bytes of all labels must be at most 2,000 but is 2,052: "):
        as_labels(given, "train")
