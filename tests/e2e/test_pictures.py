"""The command line on a zip of pictures: a whole run, and the use of the model that it registers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.made_forms import write_zip
from tests.made_sets import coloured_shapes

SHAPES = coloured_shapes(64, 1000, 300)


def _command(*arguments: object) -> str:
    """Run the command line; return its standard output."""
    command = [sys.executable, "-m", "pipelines.cli.main", *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures") / "home"


@pytest.fixture(scope="module")
def outcome(home: Path) -> dict[str, Any]:
    address = write_zip(SHAPES, home.parent / "coloured-shapes.zip")
    settings = ("epochs=9", "batch_size=64", "tuning_seeds=1")
    options = [text for setting in settings for text in ("--set", setting)]
    printed = _command("run", "--home", home, "--data", address, "--trials", 1, *options, "--json")
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def test_a_zip_of_pictures_becomes_a_champion(outcome: dict[str, Any]) -> None:
    assert outcome["status"] == "SUCCEEDED"
    assert outcome["dataset"]["name"] == "coloured-shapes"
    assert outcome["decision"]["action"] == "register"
    assert outcome["model"]["uri"] == "models:/coloured-shapes-cnn/1"
    assert outcome["metrics"]["tuned"]["test_accuracy"] >= 0.95
    report = Path(outcome["report"]).read_text()
    assert all(name in report for name in SHAPES.classes)


def test_the_champion_names_pictures_of_any_size(home: Path, outcome: dict[str, Any], tmp_path: Path) -> None:
    assert outcome["model"]["version"] == "1"
    for number, image in enumerate(SHAPES.test[:20]):
        Image.fromarray(image).resize((200, 200)).save(tmp_path / f"{number:02}.png")

    answers = [
        json.loads(line)
        for line in _command("predict", tmp_path, "--home", home, "--format", "json").splitlines()
    ]

    right = [
        answer["label"] == SHAPES.classes[label]
        for answer, label in zip(answers, SHAPES.test_labels[:20], strict=True)
    ]
    assert sum(right) >= 18
    assert answers[0]["probabilities"].keys() == set(SHAPES.classes)
