"""The steps in containers of a Docker engine on this machine, by kfp's DockerRunner."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from components.common.settings import settings

if TYPE_CHECKING:
    import docker
    from kfp import local

LABEL = "mnist-pipeline.run"
# What a step reads from its environment. Credentials go by value: a container has none of this machine's files.
PASSED = (
    "AWS_",
    "MLFLOW_",
    "NO_PROXY",
    "OMP_",
    "OPENBLAS_",
    "OPTUNA_STORAGE",
    "CHECKPOINT_DIR",
    "S3_",
    "TF_",
)
LEFT_OUT = {"AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"}


@contextmanager
def engine() -> "Iterator[docker.DockerClient]":
    """Connect to the engine that `DOCKER_HOST` names, or to this machine's.

    Raises:
        PipelineError: None answers.
    """
    import docker

    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        raise PipelineError(
            f"--runner docker needs a container engine but none answers at "
            f"{settings().docker_host} ({_reason(error)}): "
            "start dockerd, set DOCKER_HOST, or run without --runner docker."
        ) from error
    try:
        yield client
    finally:
        client.close()


def check_engine(image: str) -> None:
    """Make sure that the engine can run the steps, before anything starts.

    Raises:
        PipelineError: No engine answers, it is a rootless one, or it does not have the image.
    """
    import docker

    with engine() as client:
        if "name=rootless" in (client.info().get("SecurityOptions") or ()):
            raise PipelineError(
                "--runner docker needs an engine that runs as root but this one is rootless, "
                "where steps could not write their outputs: name another with DOCKER_HOST."
            )
        try:
            client.images.get(image)
        except docker.errors.ImageNotFound:
            raise PipelineError(
                f"the engine must have the image of the steps but has no {image}: "
                "build it with `make image`, or name another with --image."
            ) from None


def docker_runner(run_name: str, data: str, environment: Mapping[str, str]) -> "local.DockerRunner":
    """Return the runner whose containers see this machine's network, and of its files what the steps need.

    Args:
        run_name: Labels the containers.
        data: The pipeline's argument; a path is mounted for reading.
        environment: Where the steps' settings are taken from.
    """
    from kfp import local

    passed = {
        name: value
        for name, value in environment.items()
        if name.upper().startswith(PASSED) and name not in LEFT_OUT
    }
    return local.DockerRunner(
        network_mode="host",  # the embedded servers listen on the loopback interface
        user=f"{os.getuid()}:{os.getgid()}",  # what a step writes is the caller's
        environment=passed,
        mounts=[*_mounts(data, passed)],
        labels={LABEL: run_name},
        read_only=True,
        tmpfs={"/tmp": ""},  # noqa: S108
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )


def _mounts(data: str, environment: Mapping[str, str]) -> "Iterator[docker.types.Mount]":
    from docker.types import Mount

    if Path(data).is_absolute():
        yield Mount(data, str(Path(data).resolve()), type="bind", read_only=True)
    directories = []
    if checkpoints := environment.get("CHECKPOINT_DIR"):
        directories.append(Path(checkpoints))
    journal = environment.get("OPTUNA_STORAGE", "")
    if journal and "://" not in journal:
        directories.append(Path(journal).parent)
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
        yield Mount(str(directory), str(directory.resolve()), type="bind")


@contextmanager
def containers_of(run_name: str) -> Iterator[None]:
    """Leave no container of the run behind, on SIGTERM neither; and believe no success without its outputs."""
    from kfp.local import docker_task_handler

    def end(*_: object) -> None:
        # At once: a thread of kfp's that waits for a container would keep the process from unwinding.
        remove_containers(run_name)
        raise KeyboardInterrupt

    stock = docker_task_handler.run_docker_container
    docker_task_handler.run_docker_container = with_outputs(stock)
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        docker_task_handler.run_docker_container = stock
        remove_containers(run_name)


def remove_containers(run_name: str) -> None:
    """End and remove the run's containers."""
    import docker

    with engine() as client:
        for container in client.containers.list(all=True, filters={"label": f"{LABEL}={run_name}"}):
            try:
                container.remove(force=True)
            except docker.errors.APIError:
                continue  # the engine removes it already


def with_outputs(run_container: Callable[..., int]) -> Callable[..., int]:
    """Wrap kfp's function so that a task has succeeded only when its outputs are there.

    kfp takes a container that is gone before it is asked for its status as a success (kubeflow/pipelines#13332); the
    executor writes its outputs last, whatever the task has, so their absence tells.
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


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0]
