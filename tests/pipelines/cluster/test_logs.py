import pytest

from tests.pipelines.cluster.conftest import CommandLine
from tests.pipelines.cluster.kubeflow import Document, Kubeflow
from tests.pipelines.cluster.workflows import node, pod, workflow


@pytest.fixture
def run(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> Document:
    """A run whose training has failed, after ingest and before the exit handler, which has succeeded."""
    mnist_pipeline("submit")
    (run,) = kubeflow.runs
    kubeflow.workflows[run["run_id"]] = workflow(
        node("root-driver", 1, "Succeeded", 2, "system-dag-driver"),
        node("ingest.executor", 2, "Succeeded", 4),
        node("train.executor", 3, "Failed", 6, message="Error (exit code 1)"),
        node("close-run.executor", 4, "Succeeded", 8),
    )
    kubeflow.pod_logs = {
        pod(2): "[ingest] 1 file\n",
        pod(3): "".join(f"line {number}\n" for number in range(30)) + "[train] error: no room\n",
    }
    return run


def logs(mnist_pipeline: CommandLine, run: Document, *options: str) -> list[str]:
    done = mnist_pipeline("runs", "logs", run["run_id"][:8], "--cluster", *options)
    assert done.status == (1 if done.err else 0)
    return done.err or done.out


def test_the_failed_steps_last_lines(run: Document, mnist_pipeline: CommandLine) -> None:
    assert logs(mnist_pipeline, run, "--tail", "2") == [
        f"train  failed: Error (exit code 1)  pod {pod(3)}",
        "line 29",
        "[train] error: no room",
    ]
    assert len(logs(mnist_pipeline, run)) == 21


def test_the_lines_of_a_step_that_is_named(run: Document, mnist_pipeline: CommandLine) -> None:
    assert logs(mnist_pipeline, run, "--step", "ingest") == [
        f"ingest  succeeded  pod {pod(2)}",
        "[ingest] 1 file",
    ]
    (refused,) = logs(mnist_pipeline, run, "--step", "tune")
    assert refused == (
        "error: --step must be a step that has started but 'tune' is none (there is: ingest, train, close-run): "
        "choose one of them."
    )


def test_the_step_that_started_last_where_none_failed(
    kubeflow: Kubeflow, run: Document, mnist_pipeline: CommandLine
) -> None:
    del kubeflow.workflows[run["run_id"]]["status"]["nodes"][f"{pod(3).rpartition('-system')[0]}-3"]
    kubeflow.pod_logs[pod(4)] = "closed\n"
    assert logs(mnist_pipeline, run)[-1] == "closed"
    del kubeflow.workflows[run["run_id"]]
    (refused,) = logs(mnist_pipeline, run)
    assert "a step of the run must have started but none has" in refused


def test_at_the_api_servers_own_address_its_archive_is_read(
    kubeflow: Kubeflow, run: Document, mnist_pipeline: CommandLine
) -> None:
    kubeflow.has_ui = False
    kubeflow.archived_logs[pod(3)] = "from the archive\n"
    assert logs(mnist_pipeline, run)[-1] == "from the archive"


def test_a_log_that_is_gone_is_told_with_the_servers_reasons(
    kubeflow: Kubeflow, run: Document, mnist_pipeline: CommandLine
) -> None:
    kubeflow.pod_logs.clear()
    refused = logs(mnist_pipeline, run)[-1]
    assert refused.startswith(f"error: Kubeflow must have the log of pod {pod(3)} but has not (HTTP 500: ")
    assert "pod not found" in refused
    assert "Failed to read logs for run" in refused


def test_the_login_and_the_namespace_reach_the_page_of_logs(
    kubeflow: Kubeflow, run: Document, mnist_pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.token, kubeflow.multi_user = "secret", True
    monkeypatch.setenv("KFP_TOKEN", "secret")
    assert logs(mnist_pipeline, run, "--namespace", "me")[-1] == "[train] error: no room"


def test_waiting_ends_with_the_failed_steps_last_lines(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeflow, "_id", lambda: "the-run")
    failing = workflow(node("train.executor", 3, "Failed", 6))
    kubeflow.workflows["the-run"], kubeflow.progress = failing, [{"state": "FAILED"}]
    kubeflow.pod_logs[pod(3)] = "[train] error: no room\n"
    done = mnist_pipeline("submit", "--wait")
    assert (done.status, done.out[-2:]) == (
        1,
        [f"the last lines of Train baseline, pod {pod(3)}:", "  [train] error: no room"],
    )
    kubeflow.pod_logs.clear()
    done = mnist_pipeline("submit", "--wait")
    assert done.status == 1
    assert done.out[-1].startswith("no log: Kubeflow must have the log")
