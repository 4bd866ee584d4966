"""Wrong values of a submitted run: its first task and the command line refuse them in the same words."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.main import main

ROOT = Path(__file__).parents[2]
TASK = re.compile(r"Executing task \S*'([a-z-]+)'")
# The pipeline's arguments as a person gives them in Kubeflow's form, and the same for the command line.
WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"recipe": "slow"}, ["recipe=slow"]),
    ({"trials": 0}, ["trials=0"]),
    ({"gpu_count": "two"}, ["gpu_count=two"]),
    ({"data": "ftp://host/data"}, ["data=ftp://host/data"]),
    ({"options": {"training.droput": 0.1}}, ["training.droput=0.1"]),
    ({"options": {"gate.min_accuracy": 95}}, ["gate.min_accuracy=95"]),
    ({"options": {"search.space": {"dropout": [2]}}}, ['search.space={"dropout": [2]}']),
    ({"options": {"search.space": {"dropuot": [0.1]}}}, ['search.space={"dropuot": [0.1]}']),
    ({"options": {"search.space": "wide"}}, ["search.space=wide"]),
    ({"options": {"seeds": -1}}, ["seeds=-1"]),
    ({"options": {"training.seed": -1}}, ["training.seed=-1"]),
    ({"options": {"registry.model": "team/model"}}, ["registry.model=team/model"]),
    ({"options": {"training.epochs": 0}}, ["training.epochs=0"]),
    ({"options": {"training.filters": [[8.5]]}}, ["training.filters=[[8.5]]"]),
    ({"options": {"data.fraction": 1.5}}, ["data.fraction=1.5"]),
]
# Runs each case as a local run does, and prints what its tasks print.
RUN = """
import json, sys
from pipelines.local.execute import execute_pipeline
if __name__ == "__main__":
    for number, arguments in enumerate(json.load(sys.stdin)):
        print(f"case {number}", flush=True)
        print(f"status {execute_pipeline(arguments, sys.argv[1])}", flush=True)
"""


@pytest.fixture(scope="module")
def first_tasks(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The lines that each wrong run prints."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, str(tmp_path_factory.mktemp("root"))],
        input=json.dumps([arguments for arguments, _ in WRONG]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    cases: list[list[str]] = []
    for line in ended.stdout.splitlines():
        if line.startswith("case "):
            cases.append([])
        elif cases:
            cases[-1].append(line.strip())
    return cases


@pytest.mark.parametrize("number", range(len(WRONG)), ids=lambda number: WRONG[number][1][0])
def test_a_wrong_value_fails_the_first_task_in_the_words_of_the_command_line(
    number: int,
    first_tasks: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = first_tasks[number]
    assert lines[-1] == "status 1"
    started = [found[1] for line in lines if (found := TASK.search(line))]
    assert started == ["ingest", "close-run"]
    (said,) = [line for line in lines if line.startswith("[ingest]")]
    settings = [text for setting in WRONG[number][1] for text in ("--set", setting)]
    monkeypatch.setattr(sys, "argv", ["mnist-pipeline", "plan", *settings])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 1
    assert f"[ingest] {capsys.readouterr().err.strip()}" == said
