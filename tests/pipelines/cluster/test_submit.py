import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.pipelines.cluster.conftest import COMMIT, CommandLine
from tests.pipelines.cluster.kubeflow import Kubeflow


def test_submit_starts_a_run_of_this_code(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    done = mnist_pipeline("submit", "--set", "trials=2", "--set", "seed=3", "--set", "recipe=seed")
    assert (done.status, done.err) == (0, [])
    (run,) = kubeflow.runs
    host = os.environ["KF_PIPELINES_ENDPOINT"]
    assert done.out == [f"run {run['run_id']}  {host}/#/runs/details/{run['run_id']}"]
    assert run["runtime_config"]["parameters"] == {
        "trials": 2,
        "recipe": "seed",
        "options": {"training.seed": 3},
    }
    assert run["display_name"].startswith("mnist-seed-")
    spec = run["pipeline_spec"]["pipeline_spec"]
    images = {entry["container"]["image"] for entry in spec["deploymentSpec"]["executors"].values()}
    assert images == {f"mnist-pipeline:{COMMIT}"}


def test_what_pods_are_given_is_in_the_package_and_no_argument(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    assert mnist_pipeline("submit", "--set", "memory_limit=4Gi", "--set", "trials=2").status == 0
    assert mnist_pipeline("submit").status == 0
    given, plain = kubeflow.runs
    assert given["runtime_config"]["parameters"] == {"trials": 2}
    assert "resourceMemoryLimit" in str(given["pipeline_spec"])
    assert "resourceMemoryLimit" not in str(plain["pipeline_spec"])


def test_a_run_has_the_steps_account_unless_it_is_given_another(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    mnist_pipeline("submit")
    mnist_pipeline("submit", "--service-account", "trainer")
    mnist_pipeline("submit", "--service-account", "")
    accounts = [run.get("service_account") for run in kubeflow.runs]
    assert accounts == ["mnist-pipeline", "trainer", None]


def _task(name: str, state: str, second: int, end: int = 0, **more: Any) -> dict[str, Any]:
    times = {"start_time": f"2026-11-24T09:00:{second:02}Z"}
    times["end_time"] = f"2026-11-24T09:00:{end:02}Z" if end else "0001-01-01T00:00:00Z"
    return {"display_name": name, "state": state, **times, **more}


PROGRESS: list[dict[str, Any]] = [
    {"state": "PENDING"},
    {"state": "RUNNING", "tasks": [_task("root-driver", "SUCCEEDED", 1, 2), _task("ingest", "RUNNING", 3)]},
    {"state": "RUNNING", "tasks": [_task("train", "RUNNING", 9), _task("ingest", "SUCCEEDED", 3, 8)]},
    {
        "state": "RUNNING",
        "tasks": [
            _task("search", "RUNNING", 21),
            _task("train", "SUCCEEDED", 9, 20),
        ],
    },
]


def test_waiting_mirrors_the_steps_and_the_runs_success(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    """A loop's tasks share a name; the server lists them in any order, and tells of those too that are left out."""
    searching = [_task("search", "RUNNING", 20), _task("search", "SUCCEEDED", 21, 30)]
    searched = [_task("search", "SUCCEEDED", 21, 30), _task("search", "SUCCEEDED", 20, 31)]
    omitted = _task("register", "RUNTIME_STATE_UNSPECIFIED", 31)
    kubeflow.progress = [
        *PROGRESS,
        {"state": "RUNNING", "tasks": searching},
        {"state": "SUCCEEDED", "tasks": [*searched, omitted]},
    ]
    done = mnist_pipeline("submit", "--wait")
    assert done.status == 0
    assert done.out[1:] == [
        "running    Ingest",
        "succeeded  Ingest  5 s",
        "running    Train baseline",
        "succeeded  Train baseline  11 s",
        "running    Search",
        "running    Search",
        "succeeded  Search  9 s",
        "succeeded  Search  11 s",
        "the run has succeeded",
    ]


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_a_run_that_did_not_succeed_fails_the_command(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, state: str
) -> None:
    failed = _task("train", "FAILED", 9, 12, error={"code": 2, "message": "pod gone\nOOMKilled"})
    kubeflow.progress = [
        *PROGRESS[:3],
        {"state": state, "tasks": [failed], "error": {"message": "child failed"}},
    ]
    done = mnist_pipeline("submit", "--wait")
    assert done.status == 1
    assert done.out[-2:] == [
        "failed     Train baseline  3 s: OOMKilled",
        f"the run has {state.lower()}: child failed",
    ]


def test_a_failure_before_the_first_step_is_named(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    """As where Kubeflow's own bucket is missing; it tries a driver again, each time as another task."""
    drivers = [_task(f"root-driver{attempt}", "FAILED", 1, 2) for attempt in ("", "(0)", "(1)")]
    kubeflow.progress = [{"state": "FAILED", "tasks": [*drivers, _task("mnist-pipeline-1", "FAILED", 1, 2)]}]
    done = mnist_pipeline("submit", "--wait")
    assert done.status == 1
    assert done.out[1:] == ["the run has failed in Kubeflow's own root-driver: the log of that pod says why"]


def test_a_server_that_stumbles_does_not_end_the_wait(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    kubeflow.progress = [*PROGRESS[:2], {"state": "SUCCEEDED"}]
    without = mnist_pipeline("submit", "--wait").out[1:]
    kubeflow.progress = [*PROGRESS[:2], {"state": "SUCCEEDED"}]
    kubeflow.failures_after_start = [500, 0, 503]
    done = mnist_pipeline("submit", "--wait")
    assert done.status == 0
    waited = [
        line.rpartition(": ")[2]
        for line in done.out
        if line.startswith("waiting    Kubeflow does not answer")
    ]
    assert waited[0] == waited[2] == "as the test wants it"
    assert "without response" in waited[1]
    assert without == [line for line in done.out[1:] if not line.startswith("waiting")]


def test_a_token_that_expires_while_waiting_says_that_the_run_goes_on(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    kubeflow.progress = [{"state": "RUNNING"}]
    kubeflow.failures_after_start = [401]
    done = mnist_pipeline("submit", "--wait")
    assert done.status == 1
    (line,) = done.err
    assert line.startswith("error: the run goes on, but Kubeflow does not report on it any more (")
    assert f"/#/runs/details/{kubeflow.runs[0]['run_id']}" in line


def test_ctrl_c_ends_the_wait_and_not_the_run(kubeflow: Kubeflow) -> None:
    kubeflow.progress = [{"state": "RUNNING", "tasks": [_task("ingest", "RUNNING", 3)]}]
    command = [sys.executable, "-u", "-m", "pipelines.cli.main", "submit", "--wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as submitting:
        assert submitting.stdout
        assert submitting.stderr
        assert any("running    Ingest" in line for line in submitting.stdout)
        submitting.send_signal(signal.SIGINT)
        assert submitting.stdout.read() == "no longer following; the run goes on.\n"
        assert "Traceback" not in submitting.stderr.read()
    assert submitting.returncode not in {0, 1}
    assert [line for line in kubeflow.requests if "terminate" in line] == []


def test_an_experiment_is_created_on_demand(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    assert mnist_pipeline("submit", "--experiment", "digits", "--create-experiment").status == 0
    assert mnist_pipeline("submit", "--experiment", "digits").status == 0
    experiments = {entry["display_name"]: entry["experiment_id"] for entry in kubeflow.experiments}
    assert [run["experiment_id"] for run in kubeflow.runs] == [experiments["digits"]] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--experiment", "none"],
            "--experiment must exist but 'none' does not (there is: Default, old): choose",
        ),
        (["--experiment", "old"], "--experiment must be active but 'old' is archived"),
        (["--namespace", "me"], "--namespace is for a Kubeflow that serves several users"),
        (["--set", "epoch=1"], "an option must have a name of the plan but got 'epoch'"),
        (["--set", "trials=0"], "search.trials must be at least 1 but is 0"),
        (["--image", "mnist:latest"], "the image must be named by a digest"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, options: list[str], message: str
) -> None:
    kubeflow.add_experiment("old", state="ARCHIVED")
    done = mnist_pipeline("submit", *options)
    assert (done.status, done.out, kubeflow.runs) == (1, [], [])
    (line,) = done.err
    assert line.startswith(f"error: {message}")
