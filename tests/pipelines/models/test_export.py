"""Exports of a version that was trained and registered a moment before."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from components.common.data.dataset import open_split
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.lineage import Lineage
from components.common.model.samples import save_samples
from components.common.plan.run import DataPlan
from components.common.plan.training import RECIPES
from components.common.storage.files import sha256_file
from components.evaluate.exchange import write_exchange
from components.ingest.collect import collect_data
from components.preprocess.prepare import prepare_splits
from components.register.publish import publish
from components.train.fit import fit_model
from pipelines.cli.main import app
from pipelines.local.platform import Platform
from pipelines.models import export as module
from pipelines.models.export import Export, export_version
from pipelines.models.formats import FORMATS
from pipelines.models.reproduce import Recorded
from tests.records import judgement, run_plan, training_record

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME = "exported"
CONFIG = RECIPES["best"].differing(filters=((4, 4), (8, 8)), dense_units=8, epochs=2, min_steps=0)


@pytest.fixture(scope="module")
def client(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[MlflowClient]":
    """A client of a registry with one version, a small network of recipe `best`, trained on the digits."""
    from mlflow import MlflowClient

    work = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in platform.environment.items():
            environment.setenv(name, value)
        plan = DataPlan(source="digits")
        collect_data(plan, work / "raw")
        prepare_splits(work / "raw", plan, development=work / "dev", test=work / "test")
        training = fit_model(
            work / "dev", CONFIG, recipe="best", target=work / "model", on_epoch=lambda _: None
        )
        validation = open_split(work / "dev", "validation")
        save_samples(work / "model", validation)
        write_exchange(work / "model", Classifier(work / "model"), validation.images[:10])
        run_id = MlflowClient().create_run("0").info.run_id
        records = Lineage(run_plan("exports", model_name=NAME), judgement(training=training))
        publish(work / "model", records, run_id=run_id)
        yield MlflowClient()


def test_a_version_is_exported_with_a_record_of_its_answers(client: "MlflowClient", tmp_path: Path) -> None:
    target = tmp_path / "export"

    export = export_version(client, NAME, "1", "litert", target, int8=False)

    assert Export.load(target) == export
    assert sorted(file.name for file in target.iterdir()) == ["export.json", "model.tflite"]
    assert export.files == {"model.tflite": sha256_file(target / "model.tflite")}
    assert export.bytes == (target / "model.tflite").stat().st_size
    assert (export.image, export.classes) == ([28, 28, 1], list("0123456789"))
    assert 0 < export.difference < 1e-5
    assert (export.images, export.missing, export.changed) == (289, "", 0)
    assert export.accuracy == export.keras_accuracy
    assert export.lines()[-1].startswith("on 289 validation images: accuracy 0.")


def test_int8_by_the_command_line(client: "MlflowClient", tmp_path: Path) -> None:
    del client
    target = tmp_path / "export"

    given = ["--format", "openvino", "--int8", "-o", str(target), "--model", NAME]
    told = CliRunner().invoke(app, ["export", "champion", *given, "--home", str(tmp_path / "home")])

    assert told.exit_code == 0, told.output
    export = Export.load(target)
    assert f"wrote {target}\n{export.bytes} bytes, opened with openvino 2026" in told.stdout
    assert f", {export.changed} changed answers\n" in told.stdout
    assert (export.version, export.int8, export.images) == ("1", True, 289)
    assert export.difference > 1e-4


def _wrong(path: Path) -> Any:
    del path
    return lambda images: np.full((len(images), 10), np.nan, np.float32)


def test_an_export_that_answers_differently_is_refused_and_leaves_nothing(
    client: "MlflowClient", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], open=_wrong))

    with pytest.raises(PipelineError) as refused:
        export_version(client, NAME, "1", "onnx", tmp_path / "export", int8=False)

    assert str(refused.value) == (
        "exported version 1 as onnx must give probabilities within 0.0001 of Keras and 0.001 of those stored but has "
        "differences of nan and nan: choose another format."
    )
    assert list(tmp_path.iterdir()) == []


EXPORT = Export(
    model="digits",
    version="3",
    model_digest="a" * 64,
    format="litert",
    int8=False,
    files={},
    bytes=7,
    runtime="ai_edge_litert",
    runtime_version="2",
    image=[28, 28, 1],
    classes=["a", "b"],
    pictures="any",
    stored_difference=1e-3,
    difference=1e-6,
    missing="",
    images=250,
    changed=2,
    accuracy=0.97,
    keras_accuracy=0.98,
)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"difference": 2e-4}, "differences of 0.0002 and 0.001"),
        ({"stored_difference": 3e-2}, "differences of 1e-06 and 0.03"),
        ({"int8": True, "changed": 3}, "3 (accuracy 0.97 instead of 0.98)"),
    ],
)
def test_differences_beyond_a_limit_are_refused(changes: dict[str, Any], found: str) -> None:
    module._require_alike(EXPORT, 1e-2)
    module._require_alike(EXPORT.model_copy(update={"int8": True, "difference": 0.02}), 1e-2)

    with pytest.raises(PipelineError) as refused:
        module._require_alike(EXPORT.model_copy(update=changes), 1e-2)

    assert f" but has {found}: choose another format." in str(refused.value)


def test_a_model_that_cannot_be_converted_is_refused_with_the_reason(
    client: "MlflowClient", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no kernel for Roll.\nand much more")

    monkeypatch.setitem(FORMATS, "litert", replace(FORMATS["litert"], write=fail))

    with pytest.raises(PipelineError) as refused:
        export_version(client, NAME, "1", "litert", tmp_path / "export", int8=False)

    assert str(refused.value) == (
        "the model must be convertible to model.tflite for ai_edge_litert but is not (no kernel for Roll): "
        "choose another format."
    )
    assert list(tmp_path.iterdir()) == []


def test_without_the_data_int8_is_refused_and_float32_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "the object store must hold train-images-idx3-ubyte but does not: restore the object."

    def fail(*_: object) -> None:
        raise PipelineError(gone)

    monkeypatch.setattr(module, "development_data", fail)
    recorded = Recorded.from_training(training_record())
    images, answers = np.zeros((2, 28, 28, 1), np.uint8), np.array([[0.4, 0.6], [0.5, 0.5]], np.float32)

    with pytest.raises(PipelineError, match="must hold train-images"):
        module._validation(recorded, tmp_path / "int8", np.array, int8=True)
    assert module._validation(recorded, tmp_path / "float32", np.array, int8=False) == (None, gone)
    compared = module._compared(
        lambda some: answers[: len(some)] + np.float32(0.01), lambda _: answers, (images, answers), None
    )

    assert compared.keys() == {"stored_difference", "difference"}
    assert (
        EXPORT.model_copy(update={"missing": gone}).lines()[-1]
        == f"not compared on validation images: {gone}"
    )


def test_a_directory_that_holds_something_is_left_alone(client: "MlflowClient", tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(PipelineError, match="must be a new or an empty directory"):
        export_version(client, NAME, "1", "keras", tmp_path, int8=False)

    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
