"""Two data sets never share a registered model, whatever its last version keeps of its data."""

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.common.data.raw_data import raw_files
from components.common.data.source import SourceInfo
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError, UnavailableError
from components.common.model.lineage import LINEAGE, Lineage
from components.common.model.signing import (
    SIGNATURE_FILE,
    Statement,
    signed,
    signing_key,
    version_digests,
)
from components.ingest.foreign import refuse_foreign_model, refuse_unsigned_champion
from tests.records import COLOUR, dataset_info, judgement, run_plan, source_info, training_record

if TYPE_CHECKING:
    from mlflow import MlflowClient

IMAGES, _ = raw_files("test", MNIST_SPEC)


def register_tagged(
    client: "MlflowClient", tags: dict[str, str], files: Path, name: str = "", *, sign: bool = True
) -> str:
    """Register a version with these tags and a directory of files, which are signed; return the model's name."""
    if not name:
        name = f"model-{uuid.uuid4().hex}"
        client.create_registered_model(name)
    run = client.create_run("0")
    if sign:
        statement = Statement(name, "run", version_digests(files))
        (files / SIGNATURE_FILE).write_bytes(signed(statement, signing_key()))
    client.log_artifacts(run.info.run_id, str(files), "model")
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)
    return name


def data(spec: ImageSpec = MNIST_SPEC, test_digest: str = "f" * 64, **changes: Any) -> SourceInfo:
    images, _ = raw_files("test", spec)
    return source_info(spec=spec).model_copy(update={"files": {images: test_digest}, **changes})


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A version's files of before records were kept."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "model.keras").write_bytes(b"a model")
    return files


def save_lineage(files: Path, raw: SourceInfo) -> None:
    training = training_record(dataset=dataset_info().model_copy(update={"raw": raw}))
    Lineage(run_plan(), judgement(training=training)).save(files / LINEAGE)


@pytest.fixture
def recorded(mlflow_client: "MlflowClient", files: Path) -> str:
    """A registered model of the data `data()`, with records."""
    save_lineage(files, data())
    return register_tagged(mlflow_client, {}, files)


@pytest.fixture
def tagged(mlflow_client: "MlflowClient", files: Path) -> str:
    """A registered model of the data `data()`, of before records were kept."""
    raw = data()
    tags = {"dataset": raw.name, "data_source": raw.source, "raw_files": json.dumps(raw.files)}
    return register_tagged(mlflow_client, tags, files)


@pytest.fixture(params=["recorded", "tagged"])
def model(request: pytest.FixtureRequest) -> str:
    name: str = request.getfixturevalue(request.param)
    return name


def test_an_unsigned_champion_is_refused_before_anything_is_trained(
    mlflow_client: "MlflowClient", model: str
) -> None:
    refuse_unsigned_champion("never-registered")
    refuse_unsigned_champion(model)
    mlflow_client.set_registered_model_alias(model, "champion", "1")
    with pytest.raises(
        PipelineError, match=f"the champion, {model} version 1, must be signed but is not: the"
    ):
        refuse_unsigned_champion(model)
    mlflow_client.set_model_version_tag(model, "1", "signing_key", "0" * 64)
    refuse_unsigned_champion(model)


@pytest.mark.parametrize(
    ("info", "derived"),
    [
        (data(), True),
        (data(source="moved"), True),
        (data(test_digest="e" * 64), True),
        (data(source="moved", test_digest="e" * 64), False),
    ],
    ids=["same", "moved", "changed", "named"],
)
def test_the_same_data_set_is_not_refused(model: str, info: SourceInfo, derived: bool) -> None:
    refuse_foreign_model(model, info, derived=derived)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (
            data(name="dots"),
            "holds those of 'stripes' and this run is on 'dots': choose another registry.model",
        ),
        (data(COLOUR), "this run's images are 32 x 32 x 3 and those are 28 x 28 x 1"),
        (data(replace(MNIST_SPEC, classes=("a", "b"))), "data has 2 classes and there are 10"),
        (
            data(replace(MNIST_SPEC, classes=(*MNIST_SPEC.classes[:9], "boot"))),
            "this run's class 'boot' is '9' in 'model-.*': set another data.name or registry.model",
        ),
    ],
    ids=["name", "size", "classes", "class names"],
)
def test_another_data_set_is_refused(model: str, info: SourceInfo, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        refuse_foreign_model(model, info, derived=False)


def test_other_data_under_a_name_that_nobody_gave_is_refused(model: str) -> None:
    info = data(source="other/raw", test_digest="e" * 64)
    with pytest.raises(
        PipelineError, match="data.name must be set for other/raw .* from made up, with other"
    ):
        refuse_foreign_model(model, info, derived=True)


@pytest.mark.parametrize("tags", [{"dataset": "stripes"}, {}])
def test_a_version_that_does_not_say_where_its_data_came_from_is_no_other(
    mlflow_client: "MlflowClient", files: Path, tags: dict[str, str]
) -> None:
    refuse_foreign_model(register_tagged(mlflow_client, tags, files), data(), derived=True)


def test_the_last_version_decides(mlflow_client: "MlflowClient", tagged: str, files: Path) -> None:
    register_tagged(mlflow_client, {"dataset": "dots"}, files, tagged)
    # A change makes the first version the one that changed last.
    mlflow_client.set_model_version_tag(tagged, "1", "looked", "at")
    mlflow_client.update_model_version(tagged, "1", "looked at")
    with pytest.raises(PipelineError, match="holds those of 'dots'"):
        refuse_foreign_model(tagged, data(), derived=True)


def test_an_unsigned_last_version_decides_where_that_is_allowed(
    mlflow_client: "MlflowClient", files: Path
) -> None:
    name = register_tagged(mlflow_client, {"dataset": "dots"}, files, sign=False)
    unsigned = f"{name} version 1 must be signed by a trusted key but it is not signed: "
    with pytest.raises(PipelineError, match=unsigned):
        refuse_foreign_model(name, data(), derived=True)
    with pytest.raises(PipelineError, match="holds those of 'dots'"):
        refuse_foreign_model(name, data(), derived=True, allow_unsigned=True)


@pytest.mark.parametrize("allow_unsigned", [True, False])
def test_records_that_are_not_what_was_signed_decide_nothing(
    mlflow_client: "MlflowClient", recorded: str, tmp_path: Path, allow_unsigned: bool
) -> None:
    forged = tmp_path / "forged"
    forged.mkdir()
    save_lineage(forged, data(name="dots"))
    run_id = mlflow_client.get_model_version(recorded, "1").run_id
    mlflow_client.log_artifacts(run_id, str(forged), "model")
    with pytest.raises(PipelineError, match=r"must have the sha256 .* that model\.sig records but has"):
        refuse_foreign_model(recorded, data(name="dots"), derived=False, allow_unsigned=allow_unsigned)


def test_a_model_yet_to_be_made_is_not_refused(mlflow_client: "MlflowClient") -> None:
    assert mlflow_client is not None
    refuse_foreign_model("never-registered", data(), derived=True)


def test_without_a_registry_there_is_nothing_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    refuse_foreign_model("model", data(), derived=True)


def test_a_registry_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UnavailableError, match=r"needs MLflow at http://127\.0\.0\.1:9"):
        refuse_foreign_model("model", data(), derived=True)
