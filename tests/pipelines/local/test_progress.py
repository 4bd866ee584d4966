import pytest

from pipelines.local.progress import Progress

INGESTED = "[ingest] digits from sklearn.datasets.load_digits: 1442 training images\n"
TRACEBACK = """\
Traceback (most recent call last):
  File "/app/components/train/fit.py", line 53, in fit_model
    model.save(target / MODEL_FILE, include_optimizer=False)
NotImplementedError: Learning rate schedule 'Schedule' must override `get_config()`


""".splitlines(keepends=True)
CHAINED = """\
Traceback (most recent call last):
  File "/app/components/common/plan/run.py", line 41, in load
    return json.loads(text)
json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/components/common/plan/run.py", line 43, in load
    cls.model_validate_json(text)
pydantic_core._pydantic_core.ValidationError: 1 validation error for RunPlan
training.epochs
  Input should be greater than 0 [type=greater_than, input_value=-1, input_type=int]

    For further information visit https://errors.pydantic.dev/2.12/v/greater_than
""".splitlines(keepends=True)
RULE = "-" * 80 + "\n"


def _started(task: str) -> list[str]:
    return [RULE, f"09:04:08.206 - INFO - Executing task \x1b[96m'{task}'\x1b[0m\n", "Streamed logs:\n", "\n"]


def _succeeded(task: str) -> list[str]:
    return [
        "\n",
        f"09:04:12.405 - INFO - Task \x1b[96m'{task}'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m\n",
        f"09:04:12.405 - INFO - Task \x1b[96m'{task}'\x1b[0m has no outputs\n",
    ]


def _failed(task: str) -> list[str]:
    return [
        f"09:03:41.964 - ERROR - Task \x1b[96m'{task}'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m\n"
    ]


def _follow(lines: list[str], exit_status: int) -> tuple[Progress, list[str]]:
    progress = Progress()
    shown = list(progress.lines(iter(lines)))
    progress.finish(exit_status)
    return progress, [line.rpartition("  ")[0] if line.endswith(" s") else line for line in shown]


def _statuses(progress: Progress) -> list[tuple[str, str]]:
    return [(step.name, step.status) for step in progress.steps]


def test_steps_and_their_own_lines_are_shown() -> None:
    progress, shown = _follow(
        [
            "09:04:08.202 - INFO - Running pipeline: \x1b[95m'mnist-pipeline'\x1b[0m\n",
            *_started("ingest"),
            "    [KFP Executor 2026-11-23 09:04:08,261 INFO]: Got executor_input:\n",
            '            "parameterValues": {\n',
            INGESTED,
            "    View run ingest at: http://127.0.0.1:5001/#/experiments/1/runs/3f50\n",
            *_succeeded("ingest"),
            *_started("search"),
            "    [I 2026-11-23 09:05:25,196] Trial 1 finished with value: 0.95\n",
            "        [tune] trial 1 complete after epoch 4\n",
            *_succeeded("search"),
        ],
        0,
    )
    assert shown == [
        "[ingest] digits from sklearn.datasets.load_digits: 1442 training images",
        "succeeded  ingest",
        "[tune] trial 1 complete after epoch 4",
        "succeeded  search",
    ]
    assert _statuses(progress) == [("ingest", "SUCCEEDED"), ("search", "SUCCEEDED")]
    assert (progress.succeeded, progress.error) == (True, None)
    assert all(step.seconds >= 0 for step in progress.steps)


def test_the_end_of_a_step_that_nobody_started_is_only_a_line() -> None:
    progress, shown = _follow([*_started("ingest"), *_succeeded("train"), *_succeeded("ingest")], 0)
    assert shown == ["succeeded  ingest"]
    assert _statuses(progress) == [("ingest", "SUCCEEDED")]


def test_tasks_of_one_name_may_run_at_a_time() -> None:
    lines = [*_started("search"), *_started("search"), *_succeeded("search")]
    progress, _ = _follow([*lines, *_failed("search")], 1)
    assert _statuses(progress) == [("search", "SUCCEEDED"), ("search", "FAILED")]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["    [train] error: epochs must be at least 1\n", "    \n"], "epochs must be at least 1"),
        (["    [train] epoch 3/20\n"], "it ended without an error, after: epoch 3/20"),
        (TRACEBACK, "NotImplementedError: Learning rate schedule 'Schedule' must override `get_config()`"),
        (CHAINED, "pydantic_core._pydantic_core.ValidationError: 1 validation error for RunPlan"),
        ([*TRACEBACK, "[train] attempt 2\n", "Killed\n"], "Killed"),
        (["[train] error: no room\n", "resource_tracker: leaked objects\n"], "no room"),
    ],
)
def test_the_first_error_is_kept(lines: list[str], reason: str) -> None:
    progress, shown = _follow(
        [
            *_started("train"),
            *lines,
            *_failed("train"),
            *_started("close-run"),
            "    [close-run] error: another\n",
            *_failed("close-run"),
            "Pipeline \x1b[95m'mnist-pipeline'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m.\n",
        ],
        1,
    )
    assert progress.error == f"step train failed: {reason}"
    assert not progress.succeeded
    assert _statuses(progress) == [("train", "FAILED"), ("close-run", "FAILED")]
    assert "failed     train" in shown


def test_what_a_task_printed_explains_no_later_one() -> None:
    told = [*_started("train"), *TRACEBACK, *_succeeded("train"), *_started("search"), "Killed\n"]
    progress, _ = _follow([*told, *_failed("search")], 1)
    assert progress.error == "step search failed: Killed"


def test_a_run_that_is_killed_leaves_no_step_running() -> None:
    progress, _ = _follow(
        [*_started("ingest"), *_succeeded("ingest"), *_started("train"), "    Killed\n"], 137
    )
    assert progress.error == "the run's process ended with status 137: Killed"
    assert _statuses(progress) == [("ingest", "SUCCEEDED"), ("train", "FAILED")]


def test_a_run_that_never_starts_is_explained_by_its_last_line() -> None:
    progress, shown = _follow(["Traceback (most recent call last):\n", "ModuleNotFoundError: kfp\n"], 1)
    assert progress.error == "the run's process ended with status 1: ModuleNotFoundError: kfp"
    assert (progress.steps, shown) == ([], [])
