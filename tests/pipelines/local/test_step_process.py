import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.settings import environment
from pipelines.local import step_process

ROOT = Path(__file__).parents[3]
# As kfp.local calls it: a shell's command, of which the fourth part is the component's source.
RUN = """
import json, os, sys
from pipelines.local.step_process import keras_process, run_step, start_importing
if __name__ == "__main__":
    start_importing()
    shell = ["sh", "-ec", "the script that starts Python"]
    # The run's own variables are set later than the imports begin.
    os.environ["SET"] = "later"
    for given in json.loads(sys.argv[1]):
        print("status", run_step([*shell, *given], {"GIVEN": "to the step"}), os.environ.get("GIVEN"))
    if keras := keras_process():
        keras._process.kill()
    print("status", run_step([*shell, *json.loads(sys.argv[1])[1]]))
"""
SOURCE = """
from kfp.dsl import *

def step(answer: int) -> str:
    import os, signal, sys
    if answer == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    if answer == 28:
        raise OSError(answer, "No space left on device")  # as where kfp writes the outputs
    if answer != 42:
        sys.exit(answer)
    from pathlib import Path
    threads = len(list(Path("/proc/self/task").iterdir()))
    imported = [name for name in ("boto3", "keras", "tensorflow") if name in sys.modules]
    return f"{os.environ['GIVEN']}, {os.environ['SET']}, {imported}, {threads}"

ingest = step
"""


def given(task: str, answer: int, directory: Path) -> list[str]:
    """Return a task's source and the executor's arguments; its outputs go to a directory."""
    executor_input = {
        "inputs": {"parameterValues": {"answer": answer}},
        "outputs": {
            "parameters": {"Output": {"outputFile": str(directory / task)}},
            "outputFile": str(directory / f"{task}{answer}.json"),
        },
    }
    arguments = ["--executor_input", json.dumps(executor_input), "--function_to_execute", task]
    return [SOURCE, *arguments]


def test_tasks_find_everything_imported_and_those_that_fail_are_no_success(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    tasks = [
        ("ingest", 42),
        ("step", 42),
        ("step", 3),
        ("ingest", 3),
        ("step", 9),
        ("ingest", 9),
        ("ingest", 28),
    ]
    done = subprocess.run(
        [sys.executable, "-u", str(script), json.dumps([given(*task, tmp_path) for task in tasks])],
        cwd=ROOT,
        env=environment({"TF_ENABLE_ONEDNN_OPTS": "1"}),
        capture_output=True,
        text=True,
        check=True,
    )
    statuses = [line for line in done.stdout.splitlines() if line.startswith(("status", "error"))]
    assert statuses == [
        *(f"status {status} None" for status in (0, 0, 3, 3, 1, 1, 75)),
        # The process that tasks are forked from was killed.
        "error: the process that the steps are forked from has ended",
        "status 1",
    ]
    answers = {
        file.stem: json.loads(file.read_text())["parameterValues"]["Output"]
        for file in tmp_path.glob("*.json")
    }
    # A search forks further processes, which only a process of one thread can. What comes first waits for no Keras.
    assert answers == {
        "ingest42": "to the step, later, ['boto3'], 1",
        "step42": "to the step, later, ['boto3', 'keras', 'tensorflow'], 1",
    }


def test_nothing_imports_keras_where_a_training_may_have_to_set_a_variable_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step_process, "onednn_is_decided", lambda: False)
    assert step_process.keras_process.__wrapped__() is None
