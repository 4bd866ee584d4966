"""Steps in containers of a Docker engine on this machine, by kfp's DockerRunner."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import PipelineError, first_line
from components.common.settings import settings
from components.common.storage.address import shown
from pipelines.compat.kfp_local import containers_must_write_outputs
from pipelines.local.attempts import tried_again

if TYPE_CHECKING:
    import docker
    from kfp import local

LABEL = "mnist-pipeline.run"
# Beginnings of the variables that a step reads. Credentials go by value.
PASSED = (
    "ALL_PROXY",
    "AWS_",
    "CHECKPOINT_",
    "CURL_CA_BUNDLE",
    "DATA_",
    "DNNL_",
    "EMBEDDED_SERVERS",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "MLFLOW_",
    "MNIST_DATA_URI",
    "MODEL_",
    "NOTIFY_",
    "NO_PROXY",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "OPTUNA_STORAGE",
    "OUTAGE_SECONDS",
    "REQUESTS_CA_BUNDLE",
    "S3_",
    "SSL_CERT_FILE",
    "TF_",
)
LEFT_OUT = {"AWS_CONFIG_FILE", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"}
# Settings that name keys by their paths, with colons between.
KEYS = ("MODEL_SIGNING_KEY", "MODEL_PUBLIC_KEYS")
# Variables that name a file of certificates.
CERTIFICATES = (
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)


@contextmanager
def engine() -> "Iterator[docker.DockerClient]":
    """Connect to the engine that `DOCKER_HOST` names, or to this machine's.

    Raises:
        PipelineError: No engine answers.
    """
    import docker

    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        raise PipelineError(
            f"--runner docker needs a container engine but none answers at "
            f"{shown(settings().docker_host)} ({_reason(error)}): "
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
        environment: Variables, of which the containers get those that steps read.
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

    certificates = [environment[name] for name in CERTIFICATES if environment.get(name)]
    # A setting may hold the key itself.
    keys = [key for name in KEYS for key in environment.get(name, "").split(os.pathsep)]
    for path in dict.fromkeys([data, *certificates, *keys]):
        if Path(path).is_absolute():
            yield Mount(path, str(Path(path).resolve()), type="bind", read_only=True)
    checkpoints, journal = environment.get("CHECKPOINT_DIR", ""), environment.get("OPTUNA_STORAGE", "")
    for given, directory in ((checkpoints, Path(checkpoints)), (journal, Path(journal).parent)):
        if not given or "://" in given:
            continue
        directory.mkdir(parents=True, exist_ok=True)
        yield Mount(str(directory), str(directory.resolve()), type="bind")


@contextmanager
def containers_of(run_name: str) -> Iterator[None]:
    """Leave no container of the run behind, not even after SIGTERM."""

    def end(*_: object) -> None:
        # At once: a thread of kfp's that waits for a container would keep the process alive.
        remove_containers(run_name)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        with containers_must_write_outputs(tried_again):
            yield
    finally:
        remove_containers(run_name)


def remove_containers(run_name: str) -> None:
    """End and remove the run's containers."""
    import docker

    with engine() as client:
        for container in client.containers.list(
            all=True, filters={"label": f"{LABEL}={run_name}"}, ignore_removed=True
        ):
            try:
                container.remove(force=True)
            except docker.errors.APIError:
                continue  # the engine removes it already


def _reason(error: Exception) -> str:
    return first_line(error)
