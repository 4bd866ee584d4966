"""The run tree in a real MLflow server; that server's outages have a file of their own."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.errors import PipelineError
from components.common.tracking.step import step_run
from components.common.tracking.tree import close_pipeline_run, find_pipeline_run, open_pipeline_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ROOT = Path(__file__).parents[4]


@pytest.fixture
def run_id(mlflow_client: "MlflowClient") -> str:
    """Kubeflow's id of a pipeline run that is open in MLflow."""
    assert mlflow_client is not None
    run_id = uuid.uuid4().hex
    open_pipeline_run(run_id, "digits-fast", "tracking")
    return run_id


def _parent(client: "MlflowClient", run_id: str) -> "Run":
    parent = find_pipeline_run(client, run_id)
    assert parent is not None
    return parent


def _children(client: "MlflowClient", parent: "Run") -> "list[Run]":
    below = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return list(client.search_runs([parent.info.experiment_id], below, order_by=["start_time"]))


def test_run_tree_is_pipeline_steps_trials(mlflow_client: "MlflowClient", run_id: str) -> None:
    with step_run(run_id, "tune") as tune:
        tune.child("trial 1", {"step": "trial"}).close()
        tune.child("trial 2", {"step": "trial"}).close("FAILED")
    with step_run(run_id, "gate"):
        running = [run.info.status for run in _children(mlflow_client, _parent(mlflow_client, run_id))]

    parent = _parent(mlflow_client, run_id)
    assert (parent.info.run_name, parent.info.status) == ("digits-fast", "RUNNING")
    assert mlflow_client.get_experiment(parent.info.experiment_id).name == "tracking"
    tune_run, gate_run = _children(mlflow_client, parent)
    assert [tune_run.info.run_name, gate_run.info.run_name] == ["tune | digits-fast", "gate | digits-fast"]
    assert running == ["FINISHED", "RUNNING"]
    assert gate_run.info.status == "FINISHED"
    trials = [(run.info.run_name, run.info.status) for run in _children(mlflow_client, tune_run)]
    assert trials == [("trial 1", "FINISHED"), ("trial 2", "FAILED")]


def test_records_arrive_in_their_runs(mlflow_client: "MlflowClient", run_id: str, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>report</p>")
    with step_run(run_id, "train-baseline") as run:
        for epoch in (1, 2):
            run.log_metrics({"val_accuracy": epoch / 4}, epoch)
        run.log_params({"config.epochs": 2, "config.filters": (32, 64)})
        run.log_dataset("digits", "d" * 64, "preprocess", "training")
        run.log_file(report, "pages")
        run.parent.set_tags({"model_version": 3})
        run.parent.log_metrics({"test_accuracy": 1})

    parent = _parent(mlflow_client, run_id)
    assert parent.data.tags["model_version"] == "3"
    assert parent.data.metrics == {"test_accuracy": 1.0}
    (step,) = _children(mlflow_client, parent)
    history = mlflow_client.get_metric_history(step.info.run_id, "val_accuracy")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.25), (2, 0.5)]
    assert step.data.params == {"config.epochs": "2", "config.filters": "(32, 64)"}
    (used,) = step.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest, used.tags[0].value) == ("digits", "d" * 36, "training")
    assert [file.path for file in mlflow_client.list_artifacts(step.info.run_id, "pages")] == [
        "pages/report.html"
    ]


@pytest.mark.parametrize(
    ("succeeded", "message", "status", "tag"),
    [(True, "", "FINISHED", None), (False, "train failed", "FAILED", "train failed")],
)
def test_pipeline_run_ends_with_its_true_status(
    mlflow_client: "MlflowClient", run_id: str, succeeded: bool, message: str, status: str, tag: str | None
) -> None:
    close_pipeline_run(run_id, succeeded, message)
    parent = _parent(mlflow_client, run_id)
    assert (parent.info.status, parent.data.tags.get("error")) == (status, tag)


def test_a_step_that_was_killed_is_named(mlflow_client: "MlflowClient", run_id: str) -> None:
    with step_run(run_id, "train-baseline", last=False) as killed:  # so its run stays open
        pass
    close_pipeline_run(run_id, succeeded=False, message="Task exit-handler-1 failed.")
    assert mlflow_client.get_run(killed.run_id).info.status == "FAILED"
    error = _parent(mlflow_client, run_id).data.tags["error"]
    assert error.startswith("train-baseline: ended without an error of its own")
    assert error.endswith("; Task exit-handler-1 failed.")


def test_a_retried_first_step_finds_the_pipeline_run(
    mlflow_client: "MlflowClient", run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _parent(mlflow_client, run_id)
    monkeypatch.setenv("MLFLOW_RUN_NAME", "another name")
    open_pipeline_run(run_id, "digits-fast", "another-experiment")

    assert mlflow_client.get_experiment_by_name("another-experiment") is None
    assert _parent(mlflow_client, run_id).info.run_id == first.info.run_id


def test_the_environment_may_name_the_run(
    mlflow_client: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_NAME", "digits-fast-20261123-090407")
    run_id = uuid.uuid4().hex
    open_pipeline_run(run_id, "mnist-pipeline-2026-11-23", "tracking")
    assert _parent(mlflow_client, run_id).info.run_name == "digits-fast-20261123-090407"


def test_a_deleted_experiment_is_an_error(mlflow_client: "MlflowClient") -> None:
    mlflow_client.delete_experiment(mlflow_client.create_experiment("thrown away"))
    with pytest.raises(PipelineError, match=r"'thrown away' is deleted: restore it"):
        open_pipeline_run(uuid.uuid4().hex, "digits-fast", "thrown away")


def test_a_retried_step_goes_on_in_its_run(mlflow_client: "MlflowClient", run_id: str) -> None:
    with pytest.raises(ZeroDivisionError), step_run(run_id, "preprocess"):
        _ = 1 / 0
    (failed,) = _children(mlflow_client, _parent(mlflow_client, run_id))
    assert failed.info.status == "FAILED"

    with step_run(run_id, "preprocess") as run:
        assert run.run_id == failed.info.run_id
        assert mlflow_client.get_run(run.run_id).info.status == "RUNNING"
    (retried,) = _children(mlflow_client, _parent(mlflow_client, run_id))
    assert (retried.info.run_id, retried.info.status) == (failed.info.run_id, "FINISHED")


@pytest.mark.parametrize(
    ("succeeds", "status", "error"), [(True, "FINISHED", None), (False, "FAILED", "first")]
)
def test_a_failed_run_that_goes_on_is_open_until_its_new_end(
    mlflow_client: "MlflowClient", run_id: str, succeeds: bool, status: str, error: str | None
) -> None:
    close_pipeline_run(run_id, succeeded=False, message="first")
    with step_run(run_id, "preprocess"):
        assert _parent(mlflow_client, run_id).info.status == "RUNNING"
    close_pipeline_run(run_id, succeeded=succeeds, message="" if succeeds else "second")
    parent = _parent(mlflow_client, run_id)
    assert (parent.info.status, parent.data.tags.get("error")) == (status, error)


def test_a_step_of_several_tasks_ends_with_the_last(mlflow_client: "MlflowClient", run_id: str) -> None:
    with step_run(run_id, "tune", last=False) as first:
        pass
    assert mlflow_client.get_run(first.run_id).info.status == "RUNNING"
    with step_run(run_id, "tune") as second:
        pass
    assert second.run_id == first.run_id
    assert mlflow_client.get_run(first.run_id).info.status == "FINISHED"


def test_users_error_fails_the_step_in_one_line(
    mlflow_client: "MlflowClient", run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, step_run(run_id, "train-tuned") as run:
        raise PipelineError("epochs must be at least 1 but is -1")
    assert ended.value.code == 1
    assert capsys.readouterr().out.splitlines()[-1] == (
        "[train-tuned] error: epochs must be at least 1 but is -1"
    )
    assert mlflow_client.get_run(run.run_id).info.status == "FAILED"


def test_a_step_of_an_unknown_pipeline_run_is_an_error(
    mlflow_client: "MlflowClient", capsys: pytest.CaptureFixture[str]
) -> None:
    assert mlflow_client is not None
    with pytest.raises(SystemExit), step_run("never-opened", "train"):
        pass
    assert "must hold the pipeline run 'never-opened'" in capsys.readouterr().out


UNTRACKED = """
import sys
from pathlib import Path
from components.common.tracking.step import step_run
from components.common.tracking.tree import close_pipeline_run, open_pipeline_run
open_pipeline_run("id", "name", "experiment")
with step_run("id", "train") as run:
    for tracked in (run, run.parent, run.child("trial 1")):
        tracked.log_metrics({"loss": 1.0}, 1)
        tracked.log_params({"epochs": 2})
        tracked.set_tags({"dataset": "digits"})
        tracked.log_file(Path("no-such-file"))
        tracked.log_dataset("digits", "digest", "source", "training")
        tracked.close()
close_pipeline_run("id", True, "")
print(repr(run.run_id), "mlflow" in sys.modules)
"""


def test_without_a_tracking_uri_nothing_happens_and_mlflow_is_not_imported(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", UNTRACKED],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "'' False\n"
    assert list(tmp_path.iterdir()) == []


def test_runs_that_kubeflow_injects_are_used(
    mlflow_client: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id = mlflow_client.create_experiment("kubeflow")
    parent = mlflow_client.create_run(experiment_id, run_name="run").info.run_id
    tags = {"mlflow.parentRunId": parent}
    task = mlflow_client.create_run(experiment_id, run_name="task", tags=tags).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", task)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment_id)
    run_id = uuid.uuid4().hex

    open_pipeline_run(run_id, "name", "never-made")
    with step_run(run_id, "tune") as run:
        run.log_metrics({"accuracy": 0.9})
        run.parent.log_metrics({"test_accuracy": 0.8})
        run.child("trial 1").close()
    close_pipeline_run(run_id, succeeded=True, message="")

    assert mlflow_client.get_experiment_by_name("never-made") is None
    runs = {run.info.run_name: run for run in mlflow_client.search_runs([experiment_id])}
    assert runs.keys() == {"run", "task", "trial 1"}
    assert runs["run"].data.metrics == {"test_accuracy": 0.8}
    assert runs["run"].data.tags["pipeline_run_id"] == run_id
    assert runs["task"].data.metrics == {"accuracy": 0.9}
    assert runs["trial 1"].data.tags["mlflow.parentRunId"] == task
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_files_come_through_the_server_and_not_from_its_store(
    mlflow_client: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's address may mean nothing out here; this server offers it all the same."""
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    asked: list[str] = []
    ask = HttpArtifactRepository._get_presigned_download_url

    def presigned(self: HttpArtifactRepository, path: str) -> object:
        asked.append(path)
        return ask(self, path)

    monkeypatch.setattr(HttpArtifactRepository, "_get_presigned_download_url", presigned)
    run_id = mlflow_client.create_run(mlflow_client.create_experiment(uuid.uuid4().hex)).info.run_id
    mlflow_client.log_text(run_id, "kept", "note.txt")

    def read() -> str:
        return Path(mlflow_client.download_artifacts(run_id, "note.txt")).read_text()

    assert (read(), asked) == ("kept", [])
    monkeypatch.delenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD")
    assert (read(), asked) == ("kept", ["note.txt"])


class Launcher:
    """What Kubeflow's driver and launcher do in MLflow around the task of a step."""

    def __init__(self, client: "MlflowClient", monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = client
        self.experiment_id = client.create_experiment(f"kubeflow-{uuid.uuid4().hex}")
        self._environment = monkeypatch

    def start(self, name: str, parent: str | None) -> str:
        """Make a run for a pipeline, a part of the DAG or a task."""
        tags = {"mlflow.parentRunId": parent} if parent else {}
        return str(self.client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id)

    @contextmanager
    def task(self, name: str, parent: str, inputs: dict[str, object]) -> Iterator[str]:
        """Inject the environment, and in the end log the component's inputs and metrics, as one batch."""
        from mlflow.entities import Metric, Param

        run_id = self.start(name, parent)
        self._environment.setenv("MLFLOW_RUN_ID", run_id)
        self._environment.setenv("MLFLOW_EXPERIMENT_ID", self.experiment_id)
        yield run_id
        params = [Param(key, json.dumps(value)) for key, value in inputs.items()]
        self.client.log_batch(run_id, metrics=[Metric("validation_accuracy", 0.9, 0, 0)], params=params)
        self.client.set_terminated(run_id, "FINISHED")


@pytest.fixture
def launcher(mlflow_client: "MlflowClient", monkeypatch: pytest.MonkeyPatch) -> Launcher:
    return Launcher(mlflow_client, monkeypatch)


def test_the_tree_is_the_same_whatever_kubeflow_puts_between(
    mlflow_client: "MlflowClient", launcher: Launcher
) -> None:
    run_id = uuid.uuid4().hex
    top = launcher.start("mnist-fast", None)
    handler = launcher.start("exit-handler-1", top)
    condition = launcher.start("condition-2", handler)
    tune = launcher.start("tune", condition)
    loop = launcher.start("for-loop-1", tune)
    with launcher.task("ingest", handler, {"data": "digits"}):
        open_pipeline_run(run_id, "name", "never-made")
        with step_run(run_id, "ingest") as run:
            run.parent.set_tags({"dataset": "digits"})
    inputs = {"recipe": "fast", "epochs": 0, "learning_rate": 0.0, "seed": 0}
    with launcher.task("train", condition, inputs) as train, step_run(run_id, "train-baseline") as run:
        assert run.run_id == train
        run.log_params({"config.recipe": "fast", "config.epochs": 4})
        run.parent.log_metrics({"test_accuracy": 0.8})
    with launcher.task("open-study", tune, {}), step_run(run_id, "tune", last=False) as run:
        run.child("trial 0", {"step": "trial"}).close()
    searches = []
    for worker in ("1/2", "2/2"):
        with (
            launcher.task("search", loop, {"worker": worker}) as search,
            step_run(run_id, "tune", last=False) as run,
        ):
            searches.append(search)
            run.child(f"trial of {worker}", {"step": "trial"}).close()
    with launcher.task("choose", tune, {}), step_run(run_id, "tune") as run:
        run.log_metrics({"val_accuracy": 0.7})
    with launcher.task("close-run", top, {}):
        close_pipeline_run(run_id, succeeded=True, message="")

    parent = _parent(mlflow_client, run_id)
    assert (parent.info.run_id, parent.info.run_name, parent.info.status) == (top, "mnist-fast", "FINISHED")
    assert (parent.data.tags["dataset"], parent.data.metrics) == ("digits", {"test_accuracy": 0.8})
    steps = {run.info.run_id: run for run in _children(mlflow_client, parent) if "step" in run.data.tags}
    assert sorted(run.data.tags["step"] for run in steps.values()) == ["ingest", "train-baseline", "tune"]
    assert {run.info.status for run in steps.values()} == {"FINISHED"}
    assert steps[train].data.params == {
        "config.recipe": "fast", "config.epochs": "4", "recipe": '"fast"', "epochs": "0", "learning_rate": "0.0",
        "seed": "0",
    }  # fmt: skip
    below = _children(mlflow_client, steps[tune])
    assert steps[tune].data.metrics == {"val_accuracy": 0.7}
    assert sorted(run.info.run_name for run in below if run.data.tags.get("step") == "trial") == [
        "trial 0",
        "trial of 1/2",
        "trial of 2/2",
    ]
    assert {*searches} < {run.info.run_id for run in below}


def test_a_task_that_kubeflow_runs_again_keeps_its_run(
    mlflow_client: "MlflowClient", launcher: Launcher
) -> None:
    run_id, top = uuid.uuid4().hex, launcher.start("mnist-fast", None)
    condition = launcher.start("condition-2", top)
    with launcher.task("train", condition, {}) as train:
        open_pipeline_run(run_id, "name", "never-made")
        with pytest.raises(ZeroDivisionError), step_run(run_id, "train-baseline"):
            _ = 1 / 0
        with step_run(run_id, "train-baseline") as run:
            assert (run.run_id, run.parent.run_id) == (train, top)
    assert mlflow_client.get_run(train).info.status == "FINISHED"
