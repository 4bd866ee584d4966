import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.main import main
from pipelines.local.summary import Summary
from pipelines.parameters import Request

ROOT = Path(__file__).parents[3]
CommandLine = Callable[..., int]

HELP = """
import json, sys
from pipelines.cli.main import main
heavy = {"boto3", "keras", "kfp", "matplotlib", "mlflow", "numpy", "optuna", "sklearn", "tensorflow"}
for command in json.loads(sys.argv[1]):
    sys.argv = ["mnist-pipeline", *command, "--help"]
    try:
        main()
    except SystemExit as ended:
        print(ended.code, sorted(heavy & sys.modules.keys()))
"""
COMMANDS = [
    [],
    ["run"],
    ["ui"],
    ["compile"],
    ["doctor"],
    ["models"],
    ["monitor"],
    ["plan"],
    ["models", "diff"],
    ["predict"],
    ["serve"],
    ["submit"],
    ["upload"],
    ["schedule", "set"],
]


@pytest.fixture
def mnist_pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """Run the command line in this process, and return its exit status."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["mnist-pipeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


def test_help_answers_without_the_heavy_libraries() -> None:
    answered = subprocess.run(
        [sys.executable, "-c", HELP, json.dumps(COMMANDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for command in COMMANDS:
        assert f"Usage: {' '.join(['mnist-pipeline', *command])} " in answered
    assert [line for line in answered.splitlines() if line.endswith("]") and line[0] in "012"] == [
        "0 []"
    ] * len(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "epoch=1"], "an option must have a name of the plan but got 'epoch'"),
        (["--set", "epochs"], "--set must be NAME=VALUE"),
        (["--trials", "0"], "search.trials must be at least 1 but is 0"),
        (["--recipe", "slow"], "recipe must be one of"),
    ],
)
def test_a_mistake_in_a_parameter_is_one_line_before_anything_starts(
    mnist_pipeline: CommandLine,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mnist_pipeline("run", "--home", str(tmp_path / "home"), *arguments) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {message}")
    assert (printed.err.count("\n"), printed.out) == (1, "")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("arguments", [["train"], ["run", "--speed", "1"], ["run", "--trials", "many"]])
def test_a_command_that_does_not_exist_is_a_mistake_in_usage(
    mnist_pipeline: CommandLine, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert mnist_pipeline(*arguments) == 2
    assert "Usage: mnist-pipeline" in capsys.readouterr().err


def test_compile_writes_the_pipeline_of_this_commit(
    mnist_pipeline: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GIT_SHA", "3f2a" * 10)
    target = tmp_path / "pipeline.yaml"
    assert mnist_pipeline("compile", "-o", str(target)) == 0
    assert capsys.readouterr().out == f"wrote {target}\n"
    assert f"image: mnist-pipeline:{'3f2a' * 10}\n" in target.read_text()


def test_compile_refuses_a_mutable_image(
    mnist_pipeline: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = mnist_pipeline("compile", "-o", str(tmp_path / "pipeline.yaml"), "--image", "mnist:latest")
    assert status == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: the image must be named by a digest")
    assert printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def _summary(error: str | None) -> Summary:
    return Summary(
        run_id="",
        run_name="digits-fast",
        status="FAILED" if error else "SUCCEEDED",
        dataset={"name": "digits", "digest": "d" * 64},
        metrics={"baseline": {}, "tuned": {}, "champion": {}},
        decision={"action": None, "kept": False, "reasons": []},
        model={"name": None, "version": None, "aliases": [], "uri": None},
        steps=[],
        seconds=1.0,
        tracking_uri="http://127.0.0.1:5001",
        experiment_id="",
        report=None,
        log="run.log",
        error=error,
    )


@pytest.mark.parametrize(("error", "status"), [(None, 0), ("step train failed", 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_runs_outcome_is_the_exit_status_and_json_is_alone_on_stdout(
    mnist_pipeline: CommandLine,
    tmp_path: Path,
    error: str | None,
    status: int,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: list[Any] = []

    def run(home: object, request: Request, tell: Callable[[str], None], image: str | None) -> Summary:
        given.extend([home, request.arguments(), image])
        tell("[train] epoch 1/1")
        return _summary(error)

    monkeypatch.setattr("pipelines.local.run.run_pipeline", run)
    options = ["--recipe", "fast", "--set", "trials=2", "--set", "seed=3", "--data", "digits"]
    assert (
        mnist_pipeline("run", "--home", str(tmp_path), *options, *(["--json"] if as_json else [])) == status
    )

    arguments = {"data": "digits", "recipe": "fast", "trials": 2, "options": {"training.seed": 3}}
    assert given[1:] == [arguments, None]
    printed = capsys.readouterr()
    told, alone = (printed.err, printed.out) if as_json else (printed.out, "")
    assert told.startswith("[train] epoch 1/1\n")
    if as_json:
        assert json.loads(alone)["error"] == error
        assert alone.count("\n") == 1
    else:
        assert printed.err == ""


@pytest.mark.parametrize(("fatal", "status"), [(False, 0), (True, 1)])
def test_doctor_fails_where_a_run_would(
    mnist_pipeline: CommandLine,
    fatal: bool,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from pipelines.cli.doctor import Finding

    found = [Finding("Python", ok=True, detail="3.13", fatal=True), Finding("MLflow", False, "none", fatal)]
    monkeypatch.setattr("pipelines.cli.doctor.examine", lambda _home: iter(found))
    assert mnist_pipeline("doctor") == status
    assert capsys.readouterr().out.splitlines() == [finding.line() for finding in found]


def test_a_full_disk_is_one_line_and_asks_to_try_again() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "pipelines.cli.main", "plan"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 75
    assert ended.stderr.startswith("error: the disk must have room but has none (")
    assert ended.stderr.count("\n") == 1
