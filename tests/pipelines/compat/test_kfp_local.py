import builtins
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import pytest
from kfp import dsl, local
from kfp.dsl import component_factory
from kfp.local import (
    cache,
    docker_task_handler,
    logging_utils,
    pipeline_orchestrator,
    status,
    subprocess_task_handler,
)
from kfp.local.orchestrator import enhanced_dag_orchestrator

from pipelines.compat.kfp_local import (
    containers_must_write_outputs,
    finished_without_files,
    identified_as,
    print_left_alone,
    processes_run_by,
    with_outputs,
)


def command(outputs: Path) -> list[str]:
    executor_input = json.dumps({"outputs": {"outputFile": str(outputs)}})
    return ["sh", "-c", "...", "--executor_input", executor_input, "--function_to_execute", "gate"]


def container(status: int, outputs: Path, *, writes: bool) -> Callable[..., int]:
    def run(client: object, image: str, command: list[str], **options: object) -> int:
        assert (client, image, options) == ("engine", "image", {"volumes": {}})
        assert "--executor_input" in command
        if writes:
            outputs.write_text("{}")
        return status

    return run


@pytest.mark.parametrize(
    ("status", "writes", "seen"), [(0, True, 0), (0, False, 1), (3, True, 3), (3, False, 3)], ids=str
)
def test_a_container_has_succeeded_only_with_its_outputs(
    tmp_path: Path, status: int, writes: bool, seen: int
) -> None:
    outputs = tmp_path / "executor_output.json"
    outputs.write_text("of an earlier attempt")
    run = with_outputs(container(status, outputs, writes=writes))
    assert run(client="engine", image="image", command=command(outputs), volumes={}) == seen


class Gone:
    """A container that the engine has removed, whatever its status was."""

    def logs(self, *, stream: bool) -> list[bytes]:
        assert stream
        return []

    def wait(self) -> dict[str, int]:
        raise docker.errors.NotFound("removed")


class Engine:
    """An engine whose containers are removed before anybody asks for their status."""

    images = containers = property(lambda self: self)

    def list(self) -> list[Any]:
        return []

    def pull(self, image: str) -> None:
        assert image == "image:latest"

    def run(self, **_: object) -> Gone:
        return Gone()


def test_plain_kfp_takes_a_container_that_is_gone_for_a_success(tmp_path: Path) -> None:
    given: dict[str, Any] = {"image": "image", "command": command(tmp_path / "outputs"), "volumes": {}}
    assert docker_task_handler.run_docker_container(Engine(), **given) == 0
    original = docker_task_handler.run_docker_container
    with containers_must_write_outputs():
        assert docker_task_handler.run_docker_container(Engine(), **given) == 1
    assert docker_task_handler.run_docker_container is original


def test_plain_kfp_has_no_parameter_for_another_way_to_start_a_process() -> None:
    names = set(inspect.signature(local.SubprocessRunner).parameters)
    assert names == {"use_venv", "max_concurrent_pip_installs", "serialize_pip_installs"}


def test_tasks_are_run_by_the_given_function() -> None:
    commands = []

    def run(full_command: Sequence[str], env_vars: Mapping[str, str] | None = None) -> int:
        commands.append((list(full_command), env_vars))
        return 7

    originals = (
        subprocess_task_handler.run_local_subprocess,
        subprocess_task_handler.replace_python_executable,
    )
    runner = local.SubprocessRunner(use_venv=False)
    command = [component_factory.EXECUTOR_MODULE, "/data/python3/images"]
    task = subprocess_task_handler.SubprocessTaskHandler("python", command, "root", runner, {"A": "1"})
    with processes_run_by(run):
        assert task.run() == status.Status.FAILURE
    assert commands == [(command, {"A": "1"})]
    assert originals == (
        subprocess_task_handler.run_local_subprocess,
        subprocess_task_handler.replace_python_executable,
    )


def test_plain_kfp_replaces_python3_in_the_values_of_arguments() -> None:
    assert subprocess_task_handler.replace_python_executable(["/data/python3/images"], "X") == [
        "/data/X/images"
    ]


def overlap() -> bool:
    """Print in two tasks of which the one that began first ends first; return whether `print` is the same then."""
    first, second = logging_utils.indented_print(), logging_utils.indented_print()
    original = builtins.print
    try:
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)
        return builtins.print is original
    finally:
        builtins.print = original


def test_plain_kfp_leaves_print_replaced_after_tasks_that_ran_at_once() -> None:
    assert not overlap()
    with print_left_alone():
        assert overlap()
    assert not overlap()


def test_plain_kfp_has_no_parameter_for_the_id_of_a_pipeline() -> None:
    for function in (local.init, pipeline_orchestrator.run_local_pipeline):
        assert not [name for name in inspect.signature(function).parameters if "id" in name.split("_")]


def test_a_pipeline_has_the_given_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(**given: object) -> object:
        return given["unique_pipeline_id"]

    monkeypatch.setattr(enhanced_dag_orchestrator, "run_enhanced_dag", run)
    with identified_as("42"):
        assert enhanced_dag_orchestrator.run_enhanced_dag(unique_pipeline_id="random") == "42"
    assert enhanced_dag_orchestrator.run_enhanced_dag is run


def test_plain_kfp_forgets_a_task_with_metrics(tmp_path: Path) -> None:
    outputs = {"metrics": dsl.Metrics(uri=str(tmp_path / "train" / "metrics"), metadata={"accuracy": 0.5})}
    store = cache.LocalCache(str(tmp_path / "finished"))
    store.put("key", outputs)
    assert store.get("key") is None
    original = cache.LocalCache.put
    with finished_without_files():
        store.put("key", outputs)
    found = store.get("key")
    assert found
    assert found["metrics"].metadata == {"accuracy": 0.5}
    assert cache.LocalCache.put is original
