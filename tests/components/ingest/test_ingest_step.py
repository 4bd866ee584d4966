import json
import re
import uuid
from pathlib import Path
from shutil import make_archive
from typing import TYPE_CHECKING, Any

import pytest

from components.common.data.source import SourceInfo
from components.common.plan.run import RunPlan
from components.common.tracking.tree import find_pipeline_run
from components.ingest.step import ingest_step
from tests.components.ingest.test_foreign import register_tagged

if TYPE_CHECKING:
    from mlflow import MlflowClient


def _ingest(
    target: Path,
    run_id: str,
    form: dict[str, Any] | None = None,
    run_name: str = "digits-fast",
    **options: Any,
) -> SourceInfo:
    return ingest_step(
        {"data.source": "digits", "recipe": "fast", "search.trials": 6, **(form or {})},
        {"registry.experiment": "ingests", **options},
        run_id=run_id,
        run_name=run_name,
        gpu_count="0",
        plan_target=target / "plan",
        raw_target=target / "raw",
    )


@pytest.mark.usefixtures("no_object_store")
def test_the_first_step_makes_the_plan_and_opens_the_run(
    mlflow_client: "MlflowClient",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GIT_SHA", "3f2a" * 10)
    monkeypatch.setenv("EMBEDDED_SERVERS", "false")
    run_id = uuid.uuid4().hex
    info = _ingest(tmp_path, run_id, data_version="v1", epochs=2)
    assert "[ingest] MLflow's files: a file came back as it was sent\n" in capsys.readouterr().out

    plan = RunPlan.load(tmp_path / "plan")
    assert (plan.run_id, plan.run_name) == (run_id, "digits-fast")
    assert (plan.data.name, plan.data.version, plan.model_name) == ("digits", "v1", "digits-cnn")
    assert plan.training.epochs == 2
    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    tags = {name: value for name, value in parent.data.tags.items() if not name.startswith("mlflow.")}
    assert tags == {
        "pipeline_run_id": run_id,
        "step": "pipeline",
        "dataset": "digits",
        "data_version": "v1",
        "data_source": info.source,
        "raw_digest": info.digest,
        "raw_files": json.dumps(info.files),
        "model_name": "digits-cnn",
        "plan_digest": plan.digest(),
        "git_sha": "3f2a" * 10,
    }
    assert "run.json" in {file.path for file in mlflow_client.list_artifacts(parent.info.run_id)}
    (step,) = mlflow_client.search_runs(
        [parent.info.experiment_id],
        f"tags.step = 'ingest' and tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
    )
    assert step.data.metrics == {"images.train": info.counts["train"], "images.test": info.counts["test"]}
    assert [file.path for file in mlflow_client.list_artifacts(step.info.run_id)] == ["source.json"]


@pytest.mark.usefixtures("no_object_store")
def test_what_grants_access_to_the_data_is_recorded_nowhere(
    mlflow_client: "MlflowClient",
    raw: Path,
    web_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_archive(str(raw), "zip", raw)
    address = f"{web_server}/small.zip"
    monkeypatch.setenv("DATA_URI", f"{address.replace('//', '//bob:c4nary@')}?sig=c4nary")
    run_id, work = uuid.uuid4().hex, tmp_path / "work"
    work.mkdir()
    assert _ingest(work, run_id, {"data.source": "env:DATA_URI"}, min_steps=1).source == address
    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    for file in mlflow_client.list_artifacts(parent.info.run_id):
        mlflow_client.download_artifacts(parent.info.run_id, file.path, str(work))
    seen = [str(parent.to_dictionary()), capsys.readouterr().out]
    seen += [path.read_bytes().decode("latin-1") for path in work.rglob("*") if path.is_file()]
    assert address in "".join(seen)
    assert "c4nary" not in "".join(seen)


@pytest.mark.usefixtures("no_object_store")
def test_a_run_of_any_name_is_opened(mlflow_client: "MlflowClient", tmp_path: Path) -> None:
    run_id = uuid.uuid4().hex
    _ingest(tmp_path, run_id, run_name="\x1b[31m" + "x" * 600)
    name = RunPlan.load(tmp_path / "plan").run_name
    assert name == "\\x1b[31m" + "x" * 242
    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    assert parent.info.run_name == name


@pytest.mark.usefixtures("no_object_store")
def test_the_time_of_the_run_is_a_version_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    info = _ingest(tmp_path, "run", data_version="nightly-[[CurrentTime]]")
    assert re.fullmatch(r"nightly-20\d{12}", info.version)
    assert RunPlan.load(tmp_path / "plan").data.version == info.version


def test_data_for_another_data_sets_model_fails_the_step(
    mlflow_client: "MlflowClient", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "model.keras").write_bytes(b"a model")
    name = register_tagged(mlflow_client, {"dataset": "stripes"}, files)
    with pytest.raises(SystemExit):
        _ingest(tmp_path, uuid.uuid4().hex, model_name=name)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("[ingest] error: a registered model must hold one data set's models")
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize(
    ("form", "options", "gpu_count"),
    [({}, {"dropout": 2}, "0"), ({"recipe": "slow"}, {}, "0"), ({}, {}, "two")],
)
def test_a_wrong_value_ends_the_step_before_anything_is_opened(
    form: dict[str, Any],
    options: dict[str, Any],
    gpu_count: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # would take seconds to be found silent
    with pytest.raises(SystemExit) as ended:
        ingest_step(
            {"data.source": "digits", "recipe": "fast", "search.trials": 6, **form},
            options,
            run_id="run",
            run_name="run",
            gpu_count=gpu_count,
            plan_target=tmp_path / "plan",
            raw_target=tmp_path / "raw",
        )
    assert ended.value.code == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("[ingest] error: ")
    assert not list(tmp_path.iterdir())
