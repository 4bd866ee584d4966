"""The commands of `mnist-pipeline models` in this process; the servers are the session's."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.common.settings import environment
from components.register.publish import publish
from pipelines.cli.main import app
from pipelines.local.home import Home
from pipelines.local.platform import Platform
from pipelines.models.tables import VERSION_HEAD
from tests.linear_models import save_candidate
from tests.records import lineage
from tests.servers import close_runs

NAME = "looked-at"


@pytest.fixture(scope="module", autouse=True)
def two_versions(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two registered versions, the second the champion, on the server that the environment names."""
    from mlflow import MlflowClient

    directory = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in platform.environment.items():
            environment.setenv(name, value)
        save_candidate(directory, MNIST_SPEC)
        run_id = MlflowClient().create_run("0").info.run_id
        for number, before in ((1, None), (2, "1")):
            publish(directory, lineage(NAME, f"run {number}", champion_version=before), run_id=run_id)
        yield


def _models(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments, "--model", NAME])


def _document(*arguments: str) -> dict[str, Any]:
    answered = _models(*arguments, "--json")
    assert answered.exit_code == 0, answered.output
    document: dict[str, Any] = json.loads(answered.stdout)
    return document


def test_list_shows_the_versions_newest_first() -> None:
    name, head, *rows = _models("list").stdout.splitlines()
    assert name == NAME
    assert head.split("  ")[0] == VERSION_HEAD[0]
    assert [row.split()[0] for row in rows] == ["2", "1"]
    document = _document("list")
    assert document["model"] == NAME
    assert [version["version"] for version in document["versions"]] == ["2", "1"]
    assert "champion" in document["versions"][0]["aliases"]
    assert [version["version"] for version in _document("list", "--limit", "1")["versions"]] == ["2"]


READING = [["models", "list"], ["models", "show", "1"], ["models", "diff", "1", "2"], ["models", "history"]]
ANSWER_ALL = """
import json, sys
from pipelines.cli.main import app
for command in json.loads(sys.argv[1]):
    app(command, standalone_mode=False)
heavy = {"boto3", "kfp", "keras", "mlflow", "numpy", "pandas", "requests", "sqlalchemy", "tensorflow"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_server_and_files_give_the_same_answers_without_the_heavy_libraries(
    platform: Platform, home: Home, tmp_path: Path
) -> None:
    # The list says how long a run has gone on, which would be another answer each second.
    close_runs(platform.tracking_uri)
    for part in ("mlflow", "store", "keys"):
        (tmp_path / part).symlink_to(home.path / part)
    commands = [[*command, "--model", NAME, "--json"] for command in READING]
    commands += [[*command, "--model", NAME] for command in READING]
    unset = {name: value for name, value in environment().items() if name not in platform.environment}
    runs = {
        "server": [["runs", "list"], *commands],
        "running": [[*command, "--home", str(home.path)] for command in (["runs", "list"], *commands)],
        "stopped": [[*command, "--home", str(tmp_path)] for command in (["runs", "list"], *commands)],
    }
    answers = {
        way: subprocess.run(
            [sys.executable, "-c", ANSWER_ALL, json.dumps(given)],
            env=environment() if way == "server" else unset,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for way, given in runs.items()
    }
    # It knows the settings that MLflow's client takes, which stands on it too.
    of_server, needed = answers["server"].removesuffix("\n").rsplit("\n", 1)
    assert needed == "['requests']"
    assert answers["running"] == f"{of_server}\n[]\n"
    # Pages of runs are there only while a server is.
    assert answers["stopped"] == re.sub(r" +http://\S+", "", answers["running"])


def test_show_finds_a_version_by_number_and_by_alias() -> None:
    by_alias, by_number = _document("show", "champion"), _document("show", "2")
    assert by_alias == by_number
    assert (by_alias["model"], by_alias["version"]) == (NAME, "2")
    name, *lines = _models("show", "1").stdout.splitlines()
    assert name == NAME
    assert ["version", "1"] in [line.split() for line in lines]
    assert ["images", "28", "x", "28", "x", "1"] in [line.split() for line in lines]
    assert by_number["classes"] == list(MNIST_SPEC.classes)


def test_diff_shows_only_what_differs() -> None:
    document = _document("diff", "1", "champion")
    assert document["versions"] == ["1", "2"]
    assert "version" not in document["differences"]
    assert "recipe" not in document["differences"]
    assert "stored at" in document["differences"]
    head, *rows = _models("diff", "1", "2").stdout.splitlines()
    assert head.startswith(NAME)
    assert head.endswith("version 2")
    assert len(rows) == len(document["differences"])
    assert _models("diff", "2", "champion").stdout == f"{NAME}: versions 2 and 2 are alike\n"


def test_verify_promote_and_rollback_are_recorded_in_the_history() -> None:
    assert _models("verify", "1").stdout.startswith(f"{NAME} version 1 is what was registered: ")
    assert _models("promote", "1", "--why", "a test").stdout == f"{NAME} version 1 is the new champion\n"
    assert _models("promote", "v1").stdout == f"{NAME} version 1 is the champion already\n"
    assert _models("rollback").stdout == f"{NAME} version 2 is the champion again, instead of version 1\n"
    assert _models("rollback").stdout == (
        f"{NAME} version 2 is the champion, by a rollback already; promote to go further back\n"
    )
    document = _document("history")
    assert (document["champion"], document["moves"][-2]["why"]) == ("2", "a test")
    assert [move["action"] for move in document["moves"]] == ["register", "register", "promote", "rollback"]
    champion, head, *rows = _models("history").stdout.splitlines()
    assert champion == f"{NAME}: champion is version 2"
    assert head.startswith("move")
    assert len(rows) == 4


def test_the_history_says_how_often_a_test_split_has_decided() -> None:
    from mlflow import MlflowClient

    MlflowClient().set_registered_model_tag(NAME, "decisions.0123456789abcdef", "3 run")
    assert _document("history")["decisions"] == {"0123456789abcdef": 3}
    said = _models("history").stdout.splitlines()[-1]
    MlflowClient().delete_registered_model_tag(NAME, "decisions.0123456789abcdef")
    assert said.startswith("test split 0123456789abcdef has decided 3 times")


def test_a_signature_is_of_one_model_and_can_be_made_again() -> None:
    from mlflow import MlflowClient

    client, other = MlflowClient(), f"{NAME}-elsewhere"
    found = client.get_model_version(NAME, "1")
    client.create_registered_model(other)
    model_id = found.source.removeprefix("models:/")
    client.create_model_version(other, found.source, found.run_id, tags=found.tags, model_id=model_id)
    refused = CliRunner().invoke(app, ["models", "verify", "1", "--model", other, "--allow-unsigned"])
    assert "must be what was signed but its signature is of a version of" in str(refused.exception)
    key = found.tags["signing_key"]
    assert _models("sign", "1", "v2").stdout.splitlines() == [
        f"{NAME} version {number} is signed by the key {key[:12]}" for number in "12"
    ]
    assert _models("verify", "2").exit_code == 0


@pytest.mark.parametrize("command", [["show"], ["verify"], ["promote"], ["diff", "1"]])
def test_a_version_that_does_not_exist_is_an_error(command: list[str]) -> None:
    error = _models(*command, "9").exception
    assert isinstance(error, PipelineError)
    assert "must have version '9' but has not" in str(error)
