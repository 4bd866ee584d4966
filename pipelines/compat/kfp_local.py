"""kfp.local: how it runs a task's process or container."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

RunProcess = Callable[[Sequence[str], Mapping[str, str] | None], int]


@contextmanager
def processes_run_by(run_process: RunProcess) -> Iterator[None]:
    """Let kfp.local run a task's command, under its `SubprocessRunner`, with another function, as it was written.

    Args:
        run_process: Takes the command and further variables of the environment; returns the exit status.
    """
    from kfp.local import subprocess_task_handler

    # kfp 2.17.0: a `SubprocessRunner` always starts a new Python, which imports everything again for every task. It has
    # no parameter for another way.
    def run_local_subprocess(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        return run_process(full_command, env_vars)

    # It also replaces `python3` by its interpreter in the values of arguments, as in a path of data.
    def replace_python_executable(full_command: list[str], new_executable: str) -> list[str]:
        del new_executable
        return full_command

    originals = (
        subprocess_task_handler.run_local_subprocess,
        subprocess_task_handler.replace_python_executable,
    )
    subprocess_task_handler.run_local_subprocess = run_local_subprocess
    subprocess_task_handler.replace_python_executable = replace_python_executable
    try:
        yield
    finally:
        subprocess_task_handler.run_local_subprocess, subprocess_task_handler.replace_python_executable = (
            originals
        )


@contextmanager
def print_left_alone() -> Iterator[None]:
    """Keep kfp.local from replacing `print` to indent what a task prints."""
    from kfp.local import logging_utils

    # kfp 2.17.0: of tasks that run at once each puts back what another has put there, so `print` stays replaced.
    original = logging_utils.indented_print
    logging_utils.indented_print = nullcontext
    try:
        yield
    finally:
        logging_utils.indented_print = original


@contextmanager
def identified_as(run_id: str) -> Iterator[None]:
    """Let kfp.local give a pipeline this id, in place of a new random one."""
    from kfp.local.orchestrator import enhanced_dag_orchestrator

    # kfp 2.17.0: there is no parameter for the id, which a run that goes on must have again.
    original = enhanced_dag_orchestrator.run_enhanced_dag

    def run_enhanced_dag(**given: Any) -> Any:
        return original(**{**given, "unique_pipeline_id": run_id})

    enhanced_dag_orchestrator.run_enhanced_dag = run_enhanced_dag
    try:
        yield
    finally:
        enhanced_dag_orchestrator.run_enhanced_dag = original


@contextmanager
def finished_without_files() -> Iterator[None]:
    """Let kfp.local remember a finished task of which an artifact, such as metrics, has no file."""
    from kfp.dsl import Artifact
    from kfp.local.cache import LocalCache

    # kfp 2.17.0: it forgets such a task, as if the file had been deleted.
    original = LocalCache.put

    def put(cache: LocalCache, key: str, outputs: dict[str, Any]) -> None:
        for output in outputs.values():
            if isinstance(output, Artifact) and "://" not in output.uri:
                path = Path(output.uri)
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    path.touch()
        original(cache, key, outputs)

    LocalCache.put = put
    try:
        yield
    finally:
        LocalCache.put = original


@contextmanager
def containers_must_write_outputs(
    wrapped: Callable[[Callable[..., int]], Callable[..., int]] = lambda run: run,
) -> Iterator[None]:
    """Let kfp.local take a container's task as a success only where its outputs are there.

    Args:
        wrapped: Wraps the function that runs a container, and returns its exit status.
    """
    from kfp.local import docker_task_handler

    # kfp 2.17.0: a container that is removed before kfp.local asks for its status counts as a success
    # (kubeflow/pipelines#13332).
    original = docker_task_handler.run_docker_container
    docker_task_handler.run_docker_container = wrapped(with_outputs(original))
    try:
        yield
    finally:
        docker_task_handler.run_docker_container = original


def with_outputs(run_container: Callable[..., int]) -> Callable[..., int]:
    """Wrap kfp's function so that status 0 becomes 1 where the container has written no outputs.

    kfp's executor writes the file of the outputs last, even for a task without outputs.
    """

    def run(client: Any, image: str, command: list[str], **options: Any) -> int:
        outputs = _output_file(command)
        outputs.unlink(missing_ok=True)
        status = run_container(client=client, image=image, command=command, **options)
        if status == 0 and not outputs.exists():
            print("error: the container ended without writing the task's outputs")
            return 1
        return status

    return run


def _output_file(command: list[str]) -> Path:
    executor_input = json.loads(command[command.index("--executor_input") + 1])
    return Path(executor_input["outputs"]["outputFile"])
