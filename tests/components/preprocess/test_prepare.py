import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from components.common.data.dataset import Split, open_split
from components.common.data.info import DatasetInfo
from components.common.data.raw_data import open_part, write_part
from components.common.data.source import SourceInfo
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.collect import collect_data
from components.preprocess.prepare import prepare_splits
from tests.records import COLOUR, random_split, save_source


@pytest.fixture
def raw(tmp_path: Path, make_split: Callable[..., Split]) -> Path:
    directory = tmp_path / "raw"
    directory.mkdir()
    write_part(directory, "train", make_split(200))
    write_part(directory, "test", make_split(50, seed=1))
    save_source(directory)
    return directory


def test_the_splits_lie_in_two_directories(raw: Path, tmp_path: Path) -> None:
    development, test = tmp_path / "artifacts" / "development", tmp_path / "artifacts" / "test"
    result = prepare_splits(raw, DataPlan(), development=development, test=test)
    assert {path.name for path in development.iterdir()} == {
        "dataset.json",
        "samples.png",
        "train_images.npy",
        "train_labels.npy",
        "validation_images.npy",
        "validation_labels.npy",
        "validation_report.json",
    }
    assert {path.name for path in test.iterdir()} == {"dataset.json", "test_images.npy", "test_labels.npy"}
    assert (DatasetInfo.load(development), DatasetInfo.load(test)) == (result.development, result.test)
    assert result.development.counts | result.test.counts == {"train": 160, "validation": 40, "test": 50}
    for info in (result.development, result.test):
        assert info.raw == SourceInfo.load(raw)
        assert (info.split.seed, info.test_digest) == (23, result.test.digest)
    np.testing.assert_array_equal(open_split(test, "test").images, open_part(raw, "test", MNIST_SPEC).images)


def test_the_report_is_written(raw: Path, tmp_path: Path) -> None:
    result = prepare_splits(raw, DataPlan(), development=tmp_path / "development", test=tmp_path / "test")
    written = json.loads((tmp_path / "development" / "validation_report.json").read_text())
    assert written == json.loads(result.report.model_dump_json())
    assert set(written["splits"]) == {"train", "validation", "test"}


def test_the_test_split_depends_on_the_raw_data_alone(raw: Path, tmp_path: Path) -> None:
    plans = DataPlan(), DataPlan(split_seed=1, stratify=True, fraction=0.5)
    one, other = (
        prepare_splits(
            raw, plan, development=tmp_path / f"development{number}", test=tmp_path / f"test{number}"
        )
        for number, plan in enumerate(plans)
    )
    assert one.test.digest == other.test.digest
    assert one.development.digest != other.development.digest
    assert other.development.counts == {"train": 80, "validation": 20}


def test_warnings_are_printed(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_part(raw, "test", random_split(200))
    save_source(raw)
    prepare_splits(raw, DataPlan(stratify=True), development=tmp_path / "development", test=tmp_path / "test")
    assert capsys.readouterr().out.splitlines() == [
        "[preprocess] warning: train and test share 160 images",
        "[preprocess] warning: validation and test share 40 images",
        "[preprocess] 160 train, 40 validation, 200 test",
    ]


def test_broken_data_leaves_nothing(raw: Path, tmp_path: Path) -> None:
    train = open_part(raw, "train", MNIST_SPEC)
    write_part(raw, "train", Split(np.array(train.images), train.labels // 2, MNIST_SPEC))
    save_source(raw)
    with pytest.raises(PipelineError, match="has none of 5, 6, 7, 8, 9"):
        prepare_splits(raw, DataPlan(), development=tmp_path / "development", test=tmp_path / "test")
    assert list(tmp_path.iterdir()) == [raw]


@pytest.mark.parametrize("spec", [MNIST_SPEC, COLOUR])
def test_a_validation_part_of_the_datas_own_is_used(tmp_path: Path, spec: ImageSpec) -> None:
    raw = tmp_path / "own"
    raw.mkdir()
    parts = {part: random_split(60, seed, spec) for seed, part in enumerate(("train", "validation", "test"))}
    for part, split in parts.items():
        write_part(raw, part, split)
    save_source(raw, spec)
    plan, development = DataPlan(fraction=0.5), tmp_path / "development"
    result = prepare_splits(raw, plan, development=development, test=tmp_path / "test")
    assert result.development.counts == {"train": 30, "validation": 60}
    found = open_split(development, "validation")
    np.testing.assert_array_equal(found.images, parts["validation"].images)
    np.testing.assert_array_equal(found.labels, parts["validation"].labels)
    train = open_split(development, "train")
    pairs = {(image.tobytes(), int(label)) for image, label in zip(train.images, train.labels, strict=True)}
    own = zip(parts["train"].images, parts["train"].labels, strict=True)
    assert pairs < {(image.tobytes(), int(label)) for image, label in own}


def _without_the_test_part(raw: Path) -> None:
    for file in raw.glob("t10k-*"):
        file.unlink()
    save_source(raw)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: (raw / "source.json").write_bytes(b""), "source.json must be as its step wrote it"),
        (
            lambda raw: (raw / "t10k-labels-idx1-ubyte").write_bytes(b""),
            "t10k-labels-idx1-ubyte must have the sha256 .* that source.json records",
        ),
        (_without_the_test_part, "source.json must name t10k-images-idx3-ubyte, .* but names train-images"),
    ],
)
def test_damaged_raw_data_is_named(
    raw: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(raw)
    with pytest.raises(PipelineError, match=message):
        prepare_splits(raw, DataPlan(), development=tmp_path / "development", test=tmp_path / "test")


@pytest.mark.usefixtures("no_object_store")
@pytest.mark.skipif("MNIST_DATA_URI" not in os.environ, reason="MNIST_DATA_URI is not set")
def test_mnist_is_split_as_in_the_tutorial(tmp_path: Path) -> None:
    raw, development, test = tmp_path / "raw", tmp_path / "development", tmp_path / "test"
    collect_data(DataPlan(source=os.environ["MNIST_DATA_URI"]), raw)
    result = prepare_splits(raw, DataPlan(), development=development, test=test)
    assert result.report.warnings == ()
    assert result.development.counts | result.test.counts == {
        "train": 48_000,
        "validation": 12_000,
        "test": 10_000,
    }
    part = open_part(raw, "train", MNIST_SPEC)
    expected = train_test_split(part.images, part.labels, test_size=0.2, random_state=23)
    train, validation = open_split(development, "train"), open_split(development, "validation")
    found = train.images, validation.images, train.labels, validation.labels
    for array, expected_array in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, expected_array)
