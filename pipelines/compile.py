"""The pipeline compiled for Kubeflow."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.common.errors import PipelineError
from components.common.plan.training import RECIPES
from components.common.provenance import git_sha
from components.common.settings import variables_of
from pipelines.pipeline import mnist_pipeline
from pipelines.pods import PLAIN, Pods, use_pods

(IMAGE_VARIABLE,) = variables_of("step_image")
# A digest, or a tag that is a commit's hash: references that always mean the same image.
IMMUTABLE = re.compile(r"[\w.\-/:]+(@sha256:[0-9a-f]{64}|:(sha-)?[0-9a-f]{12,64})", re.ASCII)


def default_image() -> str:
    """Return the image that this commit builds, by the name that `docker build` is given."""
    return f"mnist-pipeline:{git_sha()}"


def check_image(image: str) -> None:
    """Refuse a reference whose meaning can change: Kubeflow's cache would answer for code that no longer runs.

    Raises:
        PipelineError: Neither a digest nor a commit's hash.
    """
    if not IMMUTABLE.fullmatch(image):
        raise PipelineError(
            f"the image must be named by a digest (NAME@sha256:...) or by a commit's hash (NAME:3f2a...) "
            f"but got {image!r}: commit your changes and build, or give --image."
        )


def use_image(image: str, pipeline: Any = mnist_pipeline) -> None:
    """Run every step in this image, and give its name to the step, which cannot find it out otherwise."""
    for executor in pipeline.pipeline_spec.deployment_spec["executors"].values():
        container = executor["container"]
        container["image"] = image
        others = [dict(given) for given in container["env"]] if "env" in container else []
        container["env"] = [
            *(given for given in others if given["name"] != IMAGE_VARIABLE),
            {"name": IMAGE_VARIABLE, "value": image},
        ]


def compile_pipeline(
    target: Path,
    image: str,
    *,
    pipeline: Any = mnist_pipeline,
    pods: Pods = PLAIN,
    kubernetes_manifests: bool = False,
) -> None:
    """Write the pipeline as IR YAML, or as Kubernetes Pipeline and PipelineVersion resources.

    The same code, image and settings of pods give the same bytes.

    Args:
        target: File to write; it is replaced as a whole.
        image: Immutable reference of the image that every step runs in.
        pipeline: The pipeline of trainings, or another.
        pods: What every step's pod is given.
        kubernetes_manifests: Write resources for a cluster whose Kubeflow keeps pipelines in Kubernetes.

    Raises:
        PipelineError: The image is not immutable, a limit is too small, or the file cannot be written.
    """
    from kfp.compiler import Compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    check_image(image)
    spec = pipeline.pipeline_spec
    use_image(image, pipeline)
    use_pods(pods, pipeline)
    recipe = spec.root.input_definitions.parameters["recipe"]
    del recipe.literals[:]
    for name in RECIPES:
        recipe.literals.add(string_value=name)
    options = KubernetesManifestOptions(
        pipeline_name=spec.pipeline_info.name,
        pipeline_version_name=f"{spec.pipeline_info.name}-{image_version(image)}{pods.suffix()}",
        include_pipeline_manifest=True,
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent) as scratch:
            whole = Path(scratch, "pipeline.yaml")
            Compiler().compile(
                pipeline,
                str(whole),
                kubernetes_manifest_format=kubernetes_manifests,
                kubernetes_manifest_options=options,
            )
            whole.replace(target)
    except OSError as error:
        raise PipelineError(
            f"the pipeline must go to a file that can be written but {target} is not ({error.strerror}): "
            "choose another with --output."
        ) from error


def image_version(image: str) -> str:
    """Return the first 12 characters of the digest, or of the commit's hash, that the reference ends in."""
    return re.split(r"[:@]", image)[-1][:12]
