import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import execute
from pipelines.local.execute import FINISHED, execute_pipeline
from pipelines.pipeline import mnist_pipeline

ANSWERS = {"check-changes": "train", "evaluate": "f" * 64, "gate": "register", "open-study": [0, 1]}


class Steps:
    """What runs in place of the steps' processes: it writes their outputs, and fails one of them.

    Attributes:
        run: Names of the tasks that were run.
        failing: Name of the one that fails.
        identities: Ids of the pipeline that tasks were given.
    """

    def __init__(self, failing: str) -> None:
        self.run: list[str] = []
        self.failing = failing
        self.identities: list[str] = []

    def __call__(self, full_command: Sequence[str], env_vars: Mapping[str, str] | None = None) -> int:
        del env_vars
        given = json.loads(full_command[full_command.index("--executor_input") + 1])
        outputs = given["outputs"]
        target = Path(outputs["outputFile"])
        name = target.parent.name
        self.run.append(name)
        if identity := given["inputs"].get("parameterValues", {}).get("run_id"):
            self.identities.append(identity)
        if name == self.failing:
            return 1
        for output in outputs.get("artifacts", {}).values():
            (artifact,) = output["artifacts"]
            if "Metrics" not in artifact["type"]["schemaTitle"]:  # which have no file
                Path(artifact["uri"]).mkdir(parents=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        answers: dict[str, Any] = {"Output": ANSWERS[name]} if name in ANSWERS else {}
        target.write_text(json.dumps({"parameterValues": answers, "artifacts": outputs.get("artifacts", {})}))
        return 0


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run the pipeline in one directory, with a step that fails, and return the steps."""
    monkeypatch.setattr(execute, "start_importing", lambda: None)
    monkeypatch.setattr(execute, "keras_process", lambda: None)
    spec = mnist_pipeline.pipeline_spec
    as_compiled = type(spec)()
    as_compiled.CopyFrom(spec)

    def run(failing: str, name: str = "run-1") -> Steps:
        steps = Steps(failing)
        monkeypatch.setattr(execute, "run_step", steps)
        assert execute_pipeline({"data": "digits"}, str(tmp_path / name)) == (1 if failing else 0)
        return steps

    yield run
    # A local run changes the tasks of the pipeline in its process.
    spec.CopyFrom(as_compiled)


def test_another_attempt_runs_what_has_not_succeeded_under_the_same_id(attempt: Any) -> None:
    first = attempt("evaluate")
    assert first.run[:4] == ["ingest", "preprocess", "check-changes", "train"]
    assert first.run[-2:] == ["evaluate", "close-run"]
    second = attempt("")
    assert second.run == ["evaluate", "gate", "register", "close-run"]
    assert {*first.identities, *second.identities} == {first.identities[0]}
    other = attempt("ingest", "run-2")
    assert other.run == ["ingest", "close-run"]
    assert other.identities[0] != first.identities[0]


def test_no_two_of_many_runs_share_an_id(attempt: Any) -> None:
    """They would share their run in MLflow, and the later would take up the version of the earlier."""
    [identity] = set(attempt("ingest").identities)
    assert len(identity) == 32


def test_an_exit_handler_that_fails_is_not_waited_for(attempt: Any) -> None:
    """As any task's on this machine, its outages are waited for in the attempts at its process."""
    assert attempt("close-run").run[-2:] == ["register", "close-run"]


def test_other_code_runs_everything_again(
    attempt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt("preprocess")
    monkeypatch.setattr(execute, "code_digest", lambda: "f" * 64)
    assert attempt("preprocess").run == ["ingest", "preprocess", "close-run"]
    assert len(list((tmp_path / "run-1" / FINISHED).iterdir())) == 2
