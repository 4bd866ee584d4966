import dataclasses
import json
import uuid
from pathlib import Path

import pytest

from components.common.tracking.pages import TRAINING
from pipelines.local.mlflow_api import call_mlflow, find_parent
from pipelines.local.platform import Platform
from pipelines.local.progress import Progress, Step
from pipelines.local.summary import Summary, history_links, render, summarize

METRICS = {"test_accuracy": 0.99261, "test_loss": 0.02345, "test_macro_f1": 0.99257, "test_errors": 74.0}
SUCCEEDED = Summary(
    run_id="f" * 32,
    run_name="mnist-fast-20261123-090445",
    status="SUCCEEDED",
    dataset={"name": "mnist", "digest": "d" * 64},
    metrics={"baseline": METRICS, "tuned": METRICS, "champion": {}},
    decision={
        "action": "register",
        "candidate": "tuned",
        "kept": False,
        "reasons": ["good enough", "first champion"],
        "waits": False,
    },
    model={
        "name": "mnist-cnn",
        "version": "1",
        "aliases": ["challenger", "champion"],
        "uri": "models:/mnist-cnn/1",
    },
    steps=[Step("ingest", "SUCCEEDED", 3.25), Step("train-baseline", "SUCCEEDED", 61.5)],
    seconds=94.26,
    tracking_uri="http://127.0.0.1:5001",
    experiment_id="3",
    report="/home/kfp/report.html",
    log="/home/logs/run.log",
    error=None,
)
FAILED = dataclasses.replace(
    SUCCEEDED,
    run_id="",
    status="FAILED",
    dataset={"name": None, "digest": None},
    metrics={"baseline": {}, "tuned": {}, "champion": {}},
    decision={"action": None, "candidate": None, "kept": False, "reasons": [], "waits": False},
    model={"name": None, "version": None, "aliases": [], "uri": None},
    steps=[Step("ingest", "FAILED", 3.25)],
    experiment_id="",
    report=None,
    error="step ingest failed: no mirror gave MNIST",
)


def test_a_run_whose_version_waits_for_approval_names_the_way_on() -> None:
    waits = dataclasses.replace(
        SUCCEEDED,
        decision={**SUCCEEDED.decision, "waits": True},
        model={**SUCCEEDED.model, "aliases": ["challenger"]},
    )
    assert "  approval  it waits: mnist-pipeline models approve 1 --why REASON" in list(render(waits))


def test_a_run_that_succeeded() -> None:
    assert list(render(SUCCEEDED)) == [
        "",
        "  ingest               3.2 s  succeeded",
        "  train-baseline      61.5 s  succeeded",
        "  whole run           94.3 s  succeeded",
        "",
        "  data      mnist, digest dddddddddddd",
        "  baseline  test accuracy 0.9926  loss 0.0234  macro F1 0.9926  errors 74",
        "  tuned     test accuracy 0.9926  loss 0.0234  macro F1 0.9926  errors 74",
        "  tutorial  test accuracy 0.9926, as it reports for the recipe seed",
        "  decision  register: good enough; first champion",
        "  model     mnist-cnn version 1 (challenger, champion)",
        "",
        f"  this run      http://127.0.0.1:5001/#/experiments/3/runs/{'f' * 32}?workflowType=machine_learning",
        "  compare runs  http://127.0.0.1:5001/#/experiments/3/runs?workflowType=machine_learning"
        "&compareRunsMode=CHART&viewStateShareKey=pipeline-runs",
        "  model         http://127.0.0.1:5001/#/models/mnist-cnn/versions/1",
        "  report        /home/kfp/report.html",
    ]


def test_a_run_that_failed_before_it_was_tracked() -> None:
    assert list(render(FAILED)) == [
        "",
        "  ingest               3.2 s  failed",
        "  whole run           94.3 s  failed",
        "",
        "",
        "  report        none",
        "",
        "  step ingest failed: no mirror gave MNIST",
        "  log: /home/logs/run.log",
        "  go on with it: mnist-pipeline runs retry mnist-fast-20261123-090445",
    ]


def test_a_baseline_that_is_kept_is_not_shown_twice() -> None:
    summary = dataclasses.replace(SUCCEEDED, decision={**SUCCEEDED.decision, "kept": True})
    assert [line[:34] for line in render(summary) if line.startswith("  tuned")] == [
        "  tuned     the baseline is kept: "
    ]


@pytest.mark.parametrize(("dataset", "lines"), [("mnist", 1), ("digits", 0)])
def test_the_tutorial_is_compared_on_its_own_data_only(dataset: str, lines: int) -> None:
    summary = dataclasses.replace(SUCCEEDED, dataset={"name": dataset, "digest": ""})
    assert sum("tutorial" in line for line in render(summary)) == lines


def test_json_has_names_seconds_and_statuses_of_the_steps() -> None:
    printed = json.loads(json.dumps(SUCCEEDED.as_json()))
    assert printed["steps"] == [
        {"name": "ingest", "seconds": 3.25, "status": "SUCCEEDED"},
        {"name": "train-baseline", "seconds": 61.5, "status": "SUCCEEDED"},
    ]
    assert printed.keys() == {field.name for field in dataclasses.fields(Summary)}
    assert printed["metrics"]["tuned"]["test_errors"] == 74


def _create_run(tracking_uri: str, experiment_id: str, name: str, tags: dict[str, str]) -> dict[str, str]:
    payload = {
        "experiment_id": experiment_id,
        "run_name": name,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }
    info: dict[str, str] = call_mlflow(tracking_uri, "runs/create", payload)["run"]["info"]
    return info


def _register(tracking_uri: str, name: str, run: dict[str, str]) -> None:
    version = {"name": name, "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
    for created in (name, f"{name}.history"):
        call_mlflow(tracking_uri, "registered-models/create", {"name": created})
    call_mlflow(tracking_uri, "model-versions/create", version)
    for alias in ("champion", "challenger"):
        call_mlflow(tracking_uri, "registered-models/alias", {"name": name, "alias": alias, "version": "1"})


def test_a_run_is_summed_up_from_its_parent_in_mlflow(platform: Platform) -> None:
    uri, name = platform.tracking_uri, f"digits-fast-{uuid.uuid4().hex}"
    experiment_id = call_mlflow(uri, "experiments/create", {"name": f"of {name}"})["experiment_id"]
    tags = {
        "step": "pipeline",
        "dataset": "digits",
        "data_digest": "d" * 64,
        "candidate": "tuned",
        "decision": "register",
        "decision_reasons": "good enough\nfirst champion",
        "model_name": f"model-of-{name}",
        "model_version": "1",
    }
    parent = _create_run(uri, experiment_id, name, tags)
    run_id = parent["run_id"]
    _register(uri, f"model-of-{name}", parent)
    _create_run(uri, experiment_id, name, {"step": "ingest"})
    metrics = [{"key": f"baseline/{key}", "value": value, "timestamp": 1} for key, value in METRICS.items()]
    call_mlflow(uri, "runs/log-batch", {"run_id": run_id, "metrics": metrics})
    progress = Progress()
    progress.finish(0)

    summary = summarize(uri, name, progress, 12.34, Path("report.html"), Path("run.log"))

    assert summary == Summary(
        run_id=run_id,
        run_name=name,
        status="SUCCEEDED",
        dataset={"name": "digits", "digest": "d" * 64},
        metrics={"baseline": METRICS, "tuned": {}, "champion": {}},
        decision={
            "action": "register",
            "candidate": "tuned",
            "kept": False,
            "reasons": ["good enough", "first champion"],
            "waits": False,
        },
        model={
            "name": f"model-of-{name}",
            "version": "1",
            "aliases": ["challenger", "champion"],
            "uri": f"models:/model-of-{name}/1",
        },
        steps=[],
        seconds=12.3,
        tracking_uri=uri,
        experiment_id=experiment_id,
        report="report.html",
        log="run.log",
        error=None,
    )
    links = dict(history_links(uri))
    assert links[f"of {name}"] == f"{uri}/#/experiments/{experiment_id}/runs?{TRAINING}&compareRunsMode=CHART"
    assert links[f"model-of-{name}"] == f"{uri}/#/models/model-of-{name}"
    assert "Default" not in links
    assert f"model-of-{name}.history" not in links


def test_a_run_that_mlflow_does_not_know_has_no_results(platform: Platform) -> None:
    progress = Progress()
    progress.finish(1)
    assert find_parent(platform.tracking_uri, "never-run") is None
    summary = summarize(platform.tracking_uri, "never-run", progress, 1.0, None, Path("run.log"))
    assert (summary.status, summary.run_id, summary.report) == ("FAILED", "", None)
    assert summary.error == "the run's process ended with status 1: "
    assert list(summary.links()) == []
    assert summary.warning is None


def test_a_run_that_succeeded_and_that_mlflow_does_not_show_says_so(platform: Platform) -> None:
    progress = Progress()
    progress.finish(0)
    summary = summarize(platform.tracking_uri, "never-shown", progress, 1.0, None, Path("run.log"))
    told = f"MLflow at {platform.tracking_uri} must show run never-shown but does not"
    assert str(summary.as_json()["warning"]).startswith(told)
    assert [line for line in render(summary) if line.startswith(f"  {told}")] == [f"  {summary.warning}"]
    assert (summary.status, summary.error) == ("SUCCEEDED", None)
