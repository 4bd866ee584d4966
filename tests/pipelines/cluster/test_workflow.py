from pipelines.cluster.workflow import Pod, first_failed, latest_pods
from tests.pipelines.cluster.workflows import NAME, node, pod, workflow

RETRIED = "retry-system-container-impl"


def test_a_task_is_its_last_attempt_and_each_iteration_of_a_loop_is_one() -> None:
    found = latest_pods(
        workflow(
            node("root-driver", 1, "Succeeded", 2, "system-dag-driver"),
            node("train.executor(0)", 2, "Error", 4, RETRIED, message="pod deleted"),
            node("train.executor(1)", 3, "Succeeded", 6, RETRIED),
            node("train.executor", 4, "Succeeded", 6, RETRIED, type="Retry"),
            node("workers.iteration(0:0).search.executor(0)", 5, "Succeeded", 8, RETRIED),
            node("workers.iteration(1:1).search.executor(0)", 6, "Failed", 9, RETRIED, message="OOMKilled"),
            node("close-run.executor(0)", 7, "Pending", 10, RETRIED, startedAt=None, finishedAt=None),
        )
    )
    assert [(entry.step, entry.phase, entry.message) for entry in found] == [
        ("root-driver", "Succeeded", ""),
        ("train", "Succeeded", ""),
        ("search", "Succeeded", ""),
        ("search", "Failed", "OOMKilled"),
        ("close-run", "Pending", ""),
    ]
    assert found[1].name == pod(3, RETRIED)
    failed = first_failed(found)
    assert failed
    assert failed.name == pod(6, RETRIED)


def test_a_failed_step_counts_more_than_a_failed_driver() -> None:
    def entry(step: str, finished: str) -> Pod:
        return Pod(step, step, step, "Failed", "", "", finished)

    failed = first_failed([entry("tune-driver", "1"), entry("search", "3"), entry("train", "2")])
    assert failed
    assert failed.step == "train"
    assert first_failed([]) is None


def test_pods_that_argo_names_after_their_nodes() -> None:
    named = workflow(node("train.executor", 4, "Running", 3))
    named["metadata"]["annotations"]["workflows.argoproj.io/pod-name-format"] = "v1"
    assert latest_pods(named)[0].name == f"{NAME}-4"


def test_a_run_that_has_not_started_has_no_pods() -> None:
    assert latest_pods({}) == []
