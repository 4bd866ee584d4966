"""The whole pipeline on the bundled digits, run as a user runs it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import docker
import psutil
import pytest
from docker.errors import DockerException

from pipelines.compile import default_image
from pipelines.local.clients import registered_client
from pipelines.local.containers import LABEL
from pipelines.local.home import Home
from pipelines.local.keeper import KeeperState
from pipelines.local.keeper_control import end_servers
from pipelines.local.platform import Platform, embedded_platform
from pipelines.pipeline import mnist_pipeline
from tests.made_forms import write_zip
from tests.made_sets import coloured_shapes

QUICK = (
    "--data",
    "digits",
    "--trials",
    "2",
    "--set",
    "epochs=3",
    "--set",
    "min_accuracy=0.5",
    "--set",
    "tuning_seeds=1",
)


def command(home: Path, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "pipelines.cli.main",
        "run",
        "--home",
        str(home),
        "--json",
        *QUICK,
        *options,
    ]


def run(home: Path, *options: str) -> dict[str, Any]:
    finished = subprocess.run(command(home, *options), capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return outcome_of(finished.stdout)


def outcome_of(output: str) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(output.splitlines()[-1])
    return outcome


def run_whose_mlflow_is_killed(home: Path, *options: str) -> dict[str, Any]:
    process = subprocess.Popen(
        command(home, *options), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr
    assert any("[train] epoch" in line for line in process.stderr)
    keeper = KeeperState.load(Home(home))
    assert keeper
    servers = psutil.Process(keeper.pid).children(recursive=True)
    next(
        server
        for server in servers
        if "supervisor" not in (line := " ".join(server.cmdline())) and "mlflow_process" in line
    ).kill()
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert (
        "the MLflow server ended with status 137 and is started again"
        in (Home(home).logs / "keeper.log").read_text()
    )
    return outcome_of(output)


@contextmanager
def stopped_at(home: Path, line: str, kill: signal.Signals, *options: str) -> Iterator[list[psutil.Process]]:
    """Run until `line` is printed, send the signal, and yield the processes that the run had started."""
    process = subprocess.Popen(
        command(home, *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr
    assert any(line in printed for printed in process.stderr), f"the run never printed {line!r}"
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(kill)
    process.communicate()
    yield started


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("e2e") / "home"
    yield home
    end_servers(Home(home))


@pytest.fixture(scope="module")
def first(home: Path) -> dict[str, Any]:
    return run(home)


@contextmanager
def platform_of(home: Path) -> Iterator[Platform]:
    with pytest.MonkeyPatch.context() as environment:
        for name in ("S3_ENDPOINT_URL", "MLFLOW_TRACKING_URI"):
            environment.delenv(name, raising=False)
        with embedded_platform(Home(home)) as platform:
            for name, value in platform.environment.items():
                environment.setenv(name, value)
            yield platform


def test_first_run_registers_a_champion(home: Path, first: dict[str, Any]) -> None:
    assert first["status"] == "SUCCEEDED"
    assert first["dataset"]["name"] == "digits"
    assert first["decision"]["action"] == "register"
    assert first["model"] == {
        "name": "digits-cnn",
        "version": "1",
        "aliases": ["challenger", "champion"],
        "uri": "models:/digits-cnn/1",
    }
    assert first["metrics"]["baseline"]["test_accuracy"] > 0.5
    assert [step["name"] for step in first["steps"]] == [
        "ingest",
        "preprocess",
        "check-changes",
        "train",
        "open-study",
        "search",
        "choose",
        "evaluate",
        "gate",
        "register",
        "close-run",
    ]
    assert "<html" in Path(first["report"]).read_text()
    assert first["decision"]["kept"] == (first["metrics"]["tuned"] == first["metrics"]["baseline"])
    assert list(home.glob("kfp/*/*/ingest/plan"))
    assert not [path for path in home.glob("kfp/*/*/ingest/raw/**/*") if path.is_file()]


def test_run_tree_figures_data_and_model_are_in_mlflow_and_the_store(
    home: Path, first: dict[str, Any]
) -> None:
    from mlflow import MlflowClient

    with platform_of(home) as platform:
        client = MlflowClient(platform.tracking_uri)
        parent = client.get_run(first["run_id"])
        assert parent.info.status == "FINISHED"
        assert parent.data.metrics["test_accuracy"] > 0.5
        assert {data.dataset.name for data in parent.inputs.dataset_inputs} == {"digits", "digits-test"}

        def children(run_id: str) -> dict[str, Any]:
            found = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
            return {run.info.run_name.split(" | ")[0]: run for run in found}

        steps = children(parent.info.run_id)
        assert set(steps) == {
            "ingest", "preprocess", "check-changes", "train", "tune", "evaluate", "gate",
            "register",
        }  # fmt: skip
        assert {run.info.status for run in steps.values()} == {"FINISHED"}
        assert set(children(steps["tune"].info.run_id)) == {"trial 0 (baseline)", "trial 1"}
        figures = {file.path for file in client.list_artifacts(steps["evaluate"].info.run_id, "figures")}
        assert "figures/confusion_matrix.svg" in figures
        assert client.get_model_version("digits-cnn", "1").tags["data_digest"] == first["dataset"]["digest"]
        s3 = boto3.Session().client("s3", endpoint_url=platform.s3_endpoint_url, region_name="us-east-1")
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=platform.bucket)["Contents"]]
        assert sum(key.startswith("objects/sha256/") for key in keys) == 4
        assert any(key.endswith("model.keras") for key in keys)


def test_no_parameter_has_the_name_of_a_components_input(home: Path, first: dict[str, Any]) -> None:
    """Kubeflow's integration logs a task's inputs to the run that the step writes to; MLflow keeps one value a name."""
    from mlflow import MlflowClient

    components = mnist_pipeline.pipeline_spec.components.values()
    inputs = {name for component in components for name in component.input_definitions.parameters}
    with platform_of(home) as platform:
        client = MlflowClient(platform.tracking_uri)
        runs = client.search_runs([client.get_run(first["run_id"]).info.experiment_id])
    logged = {name for run in runs for name in run.data.params}
    assert logged
    assert logged & inputs == set()


def test_a_run_with_nothing_new_ends_early_and_says_so(home: Path, first: dict[str, Any]) -> None:
    outcome = run(home, "--set", "skip_if_unchanged=true")
    assert outcome["status"] == "SUCCEEDED"
    assert [step["name"] for step in outcome["steps"]] == [
        "ingest",
        "preprocess",
        "check-changes",
        "close-run",
    ]
    champion = f"{first['model']['name']} version {first['model']['version']}"
    assert outcome["decision"]["action"] == "skip"
    assert outcome["decision"]["reasons"] == [f"data, code and plan are those of the champion, {champion}"]
    assert outcome["model"]["version"] is None


def test_a_run_on_pictures_that_is_killed_while_registering_leaves_the_champions(
    home: Path, first: dict[str, Any], tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    pictures = write_zip(coloured_shapes(32, 400, 100), tmp_path / "coloured-shapes.zip")
    settings = ("--set", "batch_size=64", "--set", "min_accuracy=0")
    options = ("--data", str(pictures), "--trials", "1", *settings)
    with stopped_at(home, "succeeded  gate", signal.SIGKILL, *options) as processes:
        assert_gone(processes)
    with platform_of(home) as platform:
        client = MlflowClient(platform.tracking_uri)
        champions = {model.name: model.aliases.get("champion") for model in client.search_registered_models()}
        assert champions.get("coloured-shapes-cnn") is None
        assert champions["digits-cnn"] == first["model"]["version"]
        deadline = time.monotonic() + 20  # the keeper closes it
        while True:
            runs = client.search_runs(["1"], "tags.step = 'pipeline'", order_by=["start_time"])
            status = [run.info.status for run in runs]
            if status[-1] != "RUNNING" or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert status == ["FINISHED", "FINISHED", "KILLED"]
        tags = runs[-1].data.tags
        assert (tags["dataset"], tags["decision"]) == ("coloured-shapes", "register")


def test_ctrl_c_while_training_leaves_no_process(home: Path, first: dict[str, Any]) -> None:
    del first
    with stopped_at(home, "[train] epoch", signal.SIGINT) as processes:
        assert_gone(processes)


def test_next_run_is_compared_with_the_champion_over_two_seeds_and_says_why_it_registers_nothing(
    home: Path, first: dict[str, Any]
) -> None:
    """The run goes on though MLflow is killed in the middle."""
    options = ("min_accuracy=0.9999", "seeds=2", "training.seed=5")
    outcome = run_whose_mlflow_is_killed(home, *(text for option in options for text in ("--set", option)))
    assert outcome["status"] == "SUCCEEDED"
    assert outcome["decision"]["action"] == "keep"
    below, against, _ = outcome["decision"]["reasons"]
    assert "is below the minimum accuracy 0.9999" in below
    assert "digits-cnn v1" in against
    assert outcome["model"] == {"name": "digits-cnn", "version": None, "aliases": [], "uri": None}
    judged = json.loads(Path(outcome["report"]).with_name("evaluation.json").read_text())
    assert judged["tuned_seeds"]["seeds"] == [5, 1005]
    assert judged["tuned_seeds"]["test"][0] == outcome["metrics"]["tuned"]["test_accuracy"]
    assert outcome["metrics"]["champion"] == pytest.approx(first["metrics"][first["decision"]["candidate"]])


def test_a_run_waits_for_the_one_before_it_and_ctrl_c_leaves_the_queue(
    home: Path, first: dict[str, Any]
) -> None:
    del first
    with registered_client(Home(home), queued=True) as before:
        before.announce("digits-before")
        process = subprocess.Popen(command(home), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stderr
        waiting = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
        before.announce(None)
    assert waiting.startswith(f"waiting for run digits-before (process {before.registration.pid}, since ")
    assert (process.returncode, output) == (130, "")
    assert list(Home(home).clients.iterdir()) == []


def engine_has_the_image() -> bool:
    try:
        client = docker.from_env()
        client.images.get(default_image())
    except DockerException:
        return False
    return True


in_containers = pytest.mark.skipif(
    not engine_has_the_image(), reason="no container engine that has the image of this commit: make image"
)


def containers() -> list[Any]:
    found: list[Any] = docker.from_env().containers.list(
        all=True, filters={"label": LABEL}, ignore_removed=True
    )
    return found


@pytest.fixture(scope="module")
def contained_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of all runs in containers."""
    home = tmp_path_factory.mktemp("contained")
    yield home
    end_servers(Home(home))


@in_containers
def test_in_containers_the_same_pipeline_gives_the_same_model(
    home: Path, first: dict[str, Any], contained_home: Path
) -> None:
    from mlflow import MlflowClient

    def weights(home: Path, outcome: dict[str, Any]) -> str:
        with platform_of(home) as platform:
            found = MlflowClient(platform.tracking_uri).get_model_version(
                outcome["model"]["name"], outcome["model"]["version"]
            )
        digest: str = found.tags["weights_digest"]
        return digest

    contained = run(contained_home, "--runner", "docker")
    assert [step["name"] for step in contained["steps"]] == [step["name"] for step in first["steps"]]
    assert contained["model"] == first["model"]
    assert contained["metrics"] == first["metrics"]
    assert contained["dataset"] == first["dataset"]
    assert weights(contained_home, contained) == weights(home, first)
    assert containers() == []


@in_containers
def test_a_step_that_fails_in_its_container_fails_the_run(contained_home: Path) -> None:
    options = ["--runner", "docker", "--set", "batch_size=5000"]
    finished = subprocess.run(command(contained_home, *options), capture_output=True, text=True, check=False)
    assert finished.returncode == 1, finished.stderr
    outcome = json.loads(finished.stdout.splitlines()[-1])
    assert outcome["status"] == "FAILED"
    assert outcome["error"].startswith("step ingest failed: training.batch_size")
    assert outcome["model"]["version"] is None
    assert containers() == []


@in_containers
def test_a_killed_run_leaves_no_container(contained_home: Path) -> None:
    # The first container is as good as another; were it left, it would be listed though it ended by itself.
    options = ["--runner", "docker"]
    with stopped_at(contained_home, "[ingest]", signal.SIGKILL, *options) as processes:
        assert_gone(processes)
    deadline = time.monotonic() + 20
    while containers() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert containers() == []


@in_containers
def test_an_image_that_the_engine_lacks_is_one_line(tmp_path: Path) -> None:
    options = ["--runner", "docker", "--image", f"mnist-pipeline:{'3f2a' * 10}"]
    refused = subprocess.run(command(tmp_path, *options), capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "make image" in refused.stderr
