import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.settings import environment

ROOT = Path(__file__).parents[3]
# As kfp.local calls it: a shell's command, of which the fourth part is the component's source.
RUN = """
import json, os, sys
from pipelines.local.step_process import run_step, start_importing
if __name__ == "__main__":
    start_importing()
    shell = ["sh", "-ec", "the script that starts Python"]
    # The run's own variables are set later than the imports begin.
    os.environ["SET"] = "later"
    print("status", run_step([*shell, *json.loads(sys.argv[1])], {"GIVEN": "to the step"}), os.environ.get("GIVEN"))
"""
SOURCE = """
from kfp.dsl import *

def step(answer: int) -> str:
    import os, sys
    if answer != 42:
        sys.exit(3)
    from pathlib import Path
    threads = len(list(Path("/proc/self/task").iterdir()))
    imported = [name for name in ("boto3", "keras", "tensorflow") if name in sys.modules]
    return f"{os.environ['GIVEN']}, {os.environ['SET']}, {imported}, {threads}"
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    return script


def run(script: Path, answer: int, onednn: str = "") -> tuple[str, Path]:
    output = script.parent / "output.json"
    executor_input = {
        "inputs": {"parameterValues": {"answer": answer}},
        "outputs": {
            "parameters": {"Output": {"outputFile": str(script.parent / "answer")}},
            "outputFile": str(output),
        },
    }
    given = [SOURCE]
    given += ["--executor_input", json.dumps(executor_input), "--function_to_execute", "step"]
    done = subprocess.run(
        [sys.executable, "-u", str(script), json.dumps(given)],
        cwd=ROOT,
        env=environment({"TF_ENABLE_ONEDNN_OPTS": onednn}),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1], output


def test_step_finds_everything_imported_in_a_process_of_one_thread(script: Path) -> None:
    status, output = run(script, 42, onednn="1")
    assert status == "status 0 None"
    # A search forks further processes, which only a process of one thread can.
    assert json.loads(output.read_text())["parameterValues"]["Output"] == (
        "to the step, later, ['boto3', 'keras', 'tensorflow'], 1"
    )


def test_step_that_fails_is_no_success(script: Path) -> None:
    status, output = run(script, 41)
    assert status == "status 3 None"
    assert not output.exists()
