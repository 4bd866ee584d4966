from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from components.common.data.raw_data import write_part
from components.common.errors import PipelineError
from components.common.plan.resolve import resolve
from pipelines.cli.main import app
from pipelines.data.inspect import Inspection, inspect_data
from tests.records import random_split


@pytest.fixture(autouse=True)
def _no_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_ENDPOINT_URL", "S3_BUCKET"):
        monkeypatch.delenv(name, raising=False)


def _arrays(train: int = 300, test: int = 60, classes: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (train, 12, 12), dtype=np.uint8),
        "y_train": np.arange(train) % classes,
        "x_test": rng.integers(0, 256, (test, 12, 12), dtype=np.uint8),
        "y_test": np.arange(test) % classes,
    }


def _inspected(directory: Path, arrays: dict[str, Any], **options: Any) -> Inspection:
    np.savez(directory / "made.npz", **arrays)
    given = {"data.source": str(directory / "made.npz"), "training.batch_size": 16, **options}
    return inspect_data(resolve([("test", given)]), None)


def test_sound_data_is_described_without_a_warning(tmp_path: Path) -> None:
    found = _inspected(tmp_path, _arrays())
    assert (found.form, found.name, found.model) == ("npz", "made", "made-cnn")
    assert found.source == f"file://{tmp_path}/made.npz"
    assert found.counts == {"train": 300, "test": 60}
    assert found.class_counts["train"] == {"0": 100, "1": 100, "2": 100}
    assert (found.warnings, found.notes, found.refusal) == ((), (), "")
    lines = list(found.lines())
    assert "images    12 x 12, grey" in lines
    assert "parts     300 train, 60 test; 60 of the training images become validation" in lines
    assert found.as_json()["spec"]["classes"] == ("0", "1", "2")


def test_what_looks_suspicious_is_warned_of(tmp_path: Path) -> None:
    arrays = _arrays()
    arrays["x_test"][:4] = arrays["x_train"][:4]
    arrays["x_train"][10:13] = arrays["x_train"][13:16]
    arrays["x_train"][20] = 7
    arrays["y_test"][0] = 2
    found = _inspected(tmp_path, arrays)
    assert found.warnings == (
        "train repeats 3 of its images",
        "train and test share 4 images",
        "train has 1 images of one even colour",
        "1 images occur with different labels",
    )


def test_a_rare_class_is_named(tmp_path: Path) -> None:
    arrays = _arrays()
    arrays["y_train"][:] = np.arange(300) < 20
    arrays["y_test"][:] = np.arange(60) < 4
    *_, rare = _inspected(tmp_path, arrays).warnings
    assert rare == "fewer than 50 training images have 1: the split keeps each class's share"


def test_a_validation_part_of_the_data_is_used(tmp_path: Path) -> None:
    arrays = _arrays()
    found = _inspected(tmp_path, {**arrays, "x_val": arrays["x_test"] ^ 1, "y_val": arrays["y_test"]})
    assert found.counts == {"train": 300, "validation": 60, "test": 60}
    assert "parts     300 train, 60 validation, 60 test" in list(found.lines())


def test_many_classes_are_counted_in_part(tmp_path: Path) -> None:
    lines = list(_inspected(tmp_path, _arrays(train=400, test=80, classes=40)).lines())
    assert "classes   40, training images of each:" in lines
    assert "          and 10 more" in lines


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"training.batch_size": 256},
            "training.batch_size must be at most the 240 training images but is 256",
        ),
        ({"data.fraction": 0.05}, "training.batch_size must be at most the 12 training images but is 16"),
    ],
)
def test_a_plan_that_the_data_does_not_fit_is_refused(
    tmp_path: Path, options: dict[str, Any], why: str
) -> None:
    found = _inspected(tmp_path, _arrays(), **options)
    assert why in found.refusal
    assert list(found.lines())[-1] == f"refused   {found.refusal}"


def test_a_name_that_belongs_to_other_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="data named mnist must be the genuine MNIST"):
        _inspected(tmp_path, _arrays(), **{"data.name": "mnist"})


def test_the_bundled_digits_are_known(tmp_path: Path) -> None:
    found = inspect_data(resolve([("test", {"data.source": "digits"})]), tmp_path / "sheet.png")
    assert (found.name, found.model) == ("digits", "digits-cnn")
    assert "one handwritten digit each" in "\n".join(found.lines())
    assert (tmp_path / "sheet.png").is_file()


def test_mnist_is_read_where_a_run_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("train", "test"):
        write_part(tmp_path, part, random_split(40))
    monkeypatch.setenv("MNIST_DATA_URI", str(tmp_path))
    shown = CliRunner().invoke(app, ["data", "inspect", "mnist", "--sheet", str(tmp_path / "sheet.png")])
    # Random images are not the genuine ones.
    assert str(shown.exception).startswith("data named mnist must be the genuine MNIST but in")
    assert tmp_path.as_uri() in str(shown.exception)
