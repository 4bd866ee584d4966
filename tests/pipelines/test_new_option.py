"""One more training option is one edit in one file."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = "components/common/plan/training.py"
BEFORE = "    batch_norm: bool = Field("
OPTION = '    mixup: Fraction = Field(default=0.0, description="Share of a second image that is mixed in.")\n'
# Resolves the arguments of the pipeline as its first task does.
FIRST_TASK = """
import json, sys
from components.common.plan.resolve import resolve_form
form = {"data.source": "mnist", "recipe": "fast", "search.trials": 6}
plan = resolve_form(form, json.loads(sys.argv[1]), run_id="", run_name="", gpu_count=0).plan
print(plan.training.mixup, plan.digest())
"""


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with one more line."""
    copy = tmp_path_factory.mktemp("fork")
    for room in ("components", "pipelines"):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    text = (copy / FILE).read_text()
    assert text.count(BEFORE) == 1
    (copy / FILE).write_text(text.replace(BEFORE, OPTION + BEFORE))
    return copy


def _run(fork: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=fork, capture_output=True, text=True, check=False
    )
    return ended.stdout if ended.returncode == 0 else ended.stderr


def test_it_can_be_set_by_both_names_and_is_listed(fork: Path) -> None:
    for name in ("training.mixup", "mixup"):
        listed = _run(fork, "-m", "pipelines.cli.main", "plan", "--set", f"{name}=0.2").splitlines()
        assert [line.split() for line in listed if "mixup" in line] == [["training.mixup", "0.2", "option"]]


def test_its_rule_is_checked(fork: Path) -> None:
    refused = _run(fork, "-m", "pipelines.cli.main", "plan", "--set", "mixup=1")
    assert refused == "error: training.mixup must be below 1 but is 1.\n"


def test_it_is_in_the_schema(fork: Path) -> None:
    schema = json.loads(_run(fork, "-m", "pipelines.cli.main", "plan", "--schema"))
    assert schema["$defs"]["TrainConfig"]["properties"]["mixup"]["exclusiveMaximum"] == 1


def test_it_is_in_the_table_of_the_docs(fork: Path) -> None:
    page = _run(fork, "-m", "components.common.plan").splitlines()
    (row,) = [line for line in page if "training.mixup" in line]
    assert row.endswith("| Share of a second image that is mixed in. |")


def test_kubeflows_field_for_options_takes_it_and_the_digest_counts_it(fork: Path) -> None:
    given, digest = _run(fork, "-c", FIRST_TASK, '{"training.mixup": 0.2}').split()
    without, other = _run(fork, "-c", FIRST_TASK, "{}").split()
    assert (given, without) == ("0.2", "0.0")
    assert digest != other


def test_the_search_can_vary_it(fork: Path) -> None:
    space = 'search.space={"mixup": {"low": 0.0, "high": 0.4}}'
    assert "mixup" in _run(fork, "-m", "pipelines.cli.main", "plan", "--set", space)
