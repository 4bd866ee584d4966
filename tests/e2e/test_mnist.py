"""The whole pipeline with its defaults on genuine MNIST."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif("MNIST_DATA_URI" not in os.environ, reason="MNIST_DATA_URI does not name MNIST")
def test_default_run_beats_the_tutorial(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "run",
        "--home",
        str(tmp_path),
        "--trials",
        "2",
        "--set",
        "tuning_seeds=1",
        "--json",
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    outcome = json.loads(finished.stdout.splitlines()[-1])
    assert outcome["dataset"]["name"] == "mnist"
    assert outcome["metrics"]["baseline"]["test_accuracy"] >= 0.991
    assert outcome["metrics"]["tuned"]["test_accuracy"] >= 0.991
    assert outcome["model"]["name"] == "mnist-cnn"
    assert outcome["model"]["aliases"] == ["challenger", "champion"]
    judged = json.loads(Path(outcome["report"]).with_name("evaluation.json").read_text())
    assert judged[judged["candidate"]]["reliability"]["ece"] <= 0.005
    assert judged["calibration"]["uncalibrated"]["ece"] > 0.005
