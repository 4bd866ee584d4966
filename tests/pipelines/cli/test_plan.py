import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.plan.resolve import OPTIONS, resolve, values_of
from components.common.plan.run import RunPlan

ROOT = Path(__file__).parents[3]


def _plan(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.cli.main", "plan", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_option_is_listed_with_its_value_and_origin(tmp_path: Path) -> None:
    file = tmp_path / "my-run.yaml"
    file.write_text("training: {dropout: 0.25}\n")
    shown = _plan("--recipe", "best", "--plan", str(file), "--set", "gate.min_accuracy=0.99")
    assert (shown.returncode, shown.stderr) == (0, "")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in shown.stdout.splitlines()}
    assert rows.keys() == OPTIONS.keys()
    assert rows["recipe"] == "best option"
    assert rows["training.dropout"] == f"0.25 file {file}"
    assert rows["training.views"] == "5 recipe best"
    assert rows["gate.min_accuracy"] == "0.99 option"
    assert rows["search.trials"] == "6 default"
    assert rows["data.source"] == "auto default of a local run"
    assert rows["registry.model"] == "not set default"


def test_the_plan_as_json_is_the_document_of_a_run() -> None:
    shown = json.loads(_plan("--json", "--data", "digits", "--set", "epochs=0.5").stdout)
    expected = resolve([("option", {"data": "digits", "epochs": 0.5})]).plan
    assert RunPlan.model_validate_json(json.dumps(shown["plan"])) == expected
    assert shown["origins"]["training.epochs"] == "option"
    assert shown["origins"].keys() == values_of(expected).keys()


def test_the_schema_describes_every_section() -> None:
    schema = json.loads(_plan("--schema").stdout)
    assert {"data", "training", "search", "gate", "registry"} <= schema["properties"].keys()
    assert schema["$defs"]["TrainConfig"]["properties"]["dropout"]["exclusiveMaximum"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "training.droput=0.1"], "did you mean training.dropout"),
        (["--set", "dropout=2"], "training.dropout must be below 1 but is 2."),
        (["--plan", "missing.yaml"], "--plan must be a file that can be read but missing.yaml"),
    ],
)
def test_a_mistake_is_one_line(options: list[str], message: str) -> None:
    refused = _plan(*options)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    assert message in refused.stderr


def test_it_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; sys.argv = ['mnist-pipeline', 'plan']\n"
        "from pipelines.cli.main import app\n"
        "app(standalone_mode=False)\n"
        "heavy = {'kfp', 'mlflow', 'numpy', 'optuna', 'tensorflow', 'sklearn', 'boto3'} & sys.modules.keys()\n"
        "print(sorted(heavy))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"
