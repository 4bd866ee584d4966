"""The pipeline's compiled package, with its name, version and digest."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from pipelines.compile import compile_pipeline, image_version
from pipelines.pods import PLAIN, Pods


@dataclass(frozen=True)
class Package:
    """A compiled pipeline in a file.

    Attributes:
        path: The file, which lasts as long as the context that made it.
        name: The pipeline's name.
        version: The end of the image's reference, which differs for every image, and of what pods are given.
        digest: SHA-256 of the file.
        steps: Each task's name on the cluster, and the one for people.
    """

    path: Path
    name: str
    version: str
    digest: str
    steps: dict[str, str]


@contextmanager
def compiled(image: str, pods: Pods = PLAIN, *, monitoring: bool = False) -> Iterator[Package]:
    """Compile the pipeline, or the one that looks for drift, for this image and with these settings of pods.

    Raises:
        PipelineError: The image is not immutable, or a limit is too small.
    """
    with TemporaryDirectory() as directory:
        path = Path(directory, "pipeline.yaml")
        compile_pipeline(path, image, pipeline=chosen_pipeline(monitoring), pods=pods)
        spec = next(yaml.safe_load_all(path.read_text()))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield Package(
            path, spec["pipelineInfo"]["name"], image_version(image) + pods.suffix(), digest, step_names(spec)
        )


def chosen_pipeline(monitoring: bool) -> Any:
    """Return the pipeline that looks for drift, or that of trainings."""
    if monitoring:
        from pipelines.monitoring import monitoring_pipeline

        return monitoring_pipeline
    from pipelines.pipeline import mnist_pipeline

    return mnist_pipeline


def step_names(spec: dict[str, Any]) -> dict[str, str]:
    """Return name and display name of every task that runs a container, wherever it is nested."""
    dags = [spec["root"], *spec["components"].values()]
    return {
        name: task["taskInfo"]["name"]
        for dag in dags
        for name, task in dag.get("dag", {}).get("tasks", {}).items()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
    }
