"""The whole pipeline with its defaults on genuine MNIST, and the model that it registers on other digits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.pipelines.models.drawings import landscape, twenty

pytestmark = pytest.mark.skipif(
    "MNIST_DATA_URI" not in os.environ, reason="MNIST_DATA_URI does not name MNIST"
)


def _command(*arguments: object) -> str:
    """Run the command line; return its standard output."""
    command = [sys.executable, "-m", "pipelines.cli.main", *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mnist")


@pytest.fixture(scope="module")
def outcome(home: Path) -> dict[str, Any]:
    printed = _command("run", "--home", home, "--trials", 1, "--json")
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def test_default_run_beats_the_tutorial(outcome: dict[str, Any]) -> None:
    assert outcome["dataset"]["name"] == "mnist"
    assert outcome["metrics"]["baseline"]["test_accuracy"] >= 0.991
    assert outcome["metrics"]["tuned"]["test_accuracy"] >= 0.991
    assert outcome["model"]["name"] == "mnist-cnn"
    assert outcome["model"]["aliases"] == ["challenger", "champion"]
    judged = json.loads(Path(outcome["report"]).with_name("evaluation.json").read_text())
    assert judged[judged["candidate"]]["reliability"]["ece"] <= 0.005
    assert judged["calibration"]["uncalibrated"]["ece"] > 0.005


def test_the_champion_reads_drawings_and_refuses_what_is_no_digit(
    home: Path, outcome: dict[str, Any], tmp_path: Path
) -> None:
    assert outcome["model"]["version"] == "1"
    drawn = twenty()
    for number, (_, picture) in enumerate(drawn):
        picture.save(tmp_path / f"{number:02}.png")
    Image.new("RGB", (200, 200), "white").save(tmp_path / "blank.png")
    landscape().save(tmp_path / "landscape.jpg")

    printed = _command("predict", tmp_path, "--home", home, "--format", "json").splitlines()

    found = [json.loads(line) for line in printed]
    assert len(found) == 22
    *answers, blank, photograph = found
    right = [answer["label"] == str(digit) for answer, (digit, _) in zip(answers, drawn, strict=True)]
    assert sum(right) >= 17
    assert "it is blank" in blank["refused"]
    assert "no even background" in photograph["refused"]
