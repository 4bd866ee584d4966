import json
import os
from pathlib import Path

import pytest

from pipelines.cluster import runs as cluster_runs
from tests.pipelines.cluster.conftest import CommandLine
from tests.pipelines.cluster.kubeflow import Document, Kubeflow
from tests.pipelines.cluster.workflows import node, workflow


@pytest.fixture
def two_runs(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> list[Document]:
    """Two runs, the first of which goes on."""
    monkeypatch.setattr(cluster_runs, "POLL_SECONDS", 0.01)
    mnist_pipeline("submit")
    mnist_pipeline("submit")
    for run, state in zip(kubeflow.runs, ("RUNNING", "FAILED"), strict=True):
        run["state"] = state
    return kubeflow.runs


def test_list_and_show(kubeflow: Kubeflow, two_runs: list[Document], mnist_pipeline: CommandLine) -> None:
    listed = mnist_pipeline("runs", "list", "--cluster").out
    assert [line.split()[0] for line in listed[1:]] == [run["display_name"] for run in two_runs[::-1]]
    found = json.loads("\n".join(mnist_pipeline("runs", "list", "--cluster", "--limit", "1", "--json").out))
    assert [run["id"] for run in found["runs"]] == [two_runs[1]["run_id"]]
    identity = two_runs[1]["run_id"]
    kubeflow.workflows[identity] = workflow(node("train.executor", 3, "Failed", 6, message="OOMKilled"))
    shown = dict(line.split(maxsplit=1) for line in mnist_pipeline("runs", "show", identity, "--cluster").out)
    assert shown["step"] == "train  failed: OOMKilled"
    assert (shown["state"], shown["id"]) == ("FAILED", identity)
    assert shown["link"] == f"{os.environ['KF_PIPELINES_ENDPOINT']}/#/runs/details/{identity}"


def test_a_run_that_goes_on_is_stopped_and_then_retried(
    two_runs: list[Document], mnist_pipeline: CommandLine
) -> None:
    run = two_runs[0]
    done = mnist_pipeline("runs", "stop", run["display_name"], "--cluster")
    assert (done.status, run["state"]) == (0, "CANCELED")
    assert done.out == [
        f"stopped  {run['display_name']}: "
        "its run in MLflow stays open: give MLFLOW_TRACKING_URI to have it closed"
    ]
    assert mnist_pipeline("runs", "retry", run["run_id"], "--cluster").status == 0
    assert run["state"] == "RUNNING"
    assert two_runs[1]["state"] == "FAILED"


@pytest.mark.parametrize(
    ("command", "state", "message"),
    [
        ("stop", "SUCCEEDED", "a run must be in progress to be stopped but"),
        ("retry", "SUCCEEDED", "a run must have failed or been stopped to be retried but"),
        ("retry", "RUNNING", "a run must have failed or been stopped to be retried but"),
    ],
)
def test_a_run_in_the_wrong_state_is_told(
    two_runs: list[Document],
    mnist_pipeline: CommandLine,
    command: str,
    state: str,
    message: str,
) -> None:
    run = two_runs[0]
    run["state"] = state
    done = mnist_pipeline("runs", command, run["run_id"], "--cluster")
    assert (done.status, run["state"]) == (1, state)
    assert done.err[0].startswith(f"error: {message}")


def test_an_unclear_name_is_told_with_the_candidates(
    two_runs: list[Document], mnist_pipeline: CommandLine
) -> None:
    (refused,) = mnist_pipeline("runs", "stop", "mnist", "--cluster").err
    assert all(f"{run['display_name']} ({run['run_id']})" in refused for run in two_runs)
    (refused,) = mnist_pipeline("runs", "stop", "none", "--cluster").err
    assert "'none' is none: choose one of `mnist-pipeline runs list --cluster`." in refused
    assert two_runs[0]["state"] == "RUNNING"


@pytest.mark.parametrize("option", ["--host", "--namespace", "--token-file"])
def test_an_option_for_kubeflow_without_it_is_refused(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, tmp_path: Path, option: str
) -> None:
    """A variable, such as the tests' KF_PIPELINES_ENDPOINT, may be there for other commands."""
    (refused,) = mnist_pipeline("runs", "stop", "x", option, "y").err
    assert refused.startswith(f"error: {option} needs --cluster but got ")
    assert refused.endswith(" without it: add --cluster, or leave it out.")
    assert "'x' is none" in mnist_pipeline("runs", "stop", "x", "--home", str(tmp_path)).err[0]
    assert kubeflow.requests == []
