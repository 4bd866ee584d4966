"""`mnist-pipeline kserve`: render, apply."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION
from pipelines.cli.answers import print_json, print_line
from pipelines.cli.options import DEFAULT_HOME, HomeOption, ModelOption, VersionOption

if TYPE_CHECKING:
    from pipelines.cluster.kserve import Rollout

app = typer.Typer(help="Serve a registered version with KServe.", no_args_is_help=True)

ServiceOption = Annotated[str, typer.Option("--service", help="Name of the InferenceService.")]
NamespaceOption = Annotated[str, typer.Option("--namespace", help="Its namespace.")]
CanaryOption = Annotated[
    int | None,
    typer.Option(
        "--canary",
        min=0,
        max=100,
        help="Percent of the requests for this version; the version before gets the rest. 0 takes it back.",
    ),
]
ArtifactsOption = Annotated[
    str | None,
    typer.Option(
        "--artifacts", help="Where the MLflow server keeps its files; by default s3://S3_BUCKET/mlflow."
    ),
]
LogOption = Annotated[
    str | None, typer.Option("--log-requests", metavar="s3://BUCKET/PREFIX", help="As of serve.")
]
SampleOption = Annotated[float, typer.Option("--sample", min=0, max=1, help="As of serve.")]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")]


@app.command()
def render(
    model: ModelOption = "",
    version: VersionOption = CHAMPION,
    service: ServiceOption = "mnist",
    namespace: NamespaceOption = "kubeflow",
    canary: CanaryOption = None,
    log_requests: LogOption = None,
    sample: SampleOption = 0.1,
    artifacts: ArtifactsOption = None,
    output: OutputOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Verify a version, and write its InferenceService as JSON, which kubectl and kustomize take."""
    from pipelines.cluster.kserve import Rollout

    rollout = Rollout(service, namespace, canary, log_requests, sample)
    manifest = _manifest(home, model, version, artifacts, rollout)
    if output is None:
        print_json(manifest)
        return
    try:
        output.write_text(json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise PipelineError(
            f"{output} must be a file that can be written but is not ({error.strerror}): choose another --output."
        ) from None
    print_line(f"wrote {output}")


@app.command()
def apply(
    model: ModelOption = "",
    version: VersionOption = CHAMPION,
    service: ServiceOption = "mnist",
    namespace: NamespaceOption = "kubeflow",
    canary: CanaryOption = None,
    log_requests: LogOption = None,
    sample: SampleOption = 0.1,
    artifacts: ArtifactsOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Verify a version, and let the InferenceService in the cluster of kubectl's context serve it."""
    from pipelines.cluster.kserve import MODEL, VERSION, Rollout, apply_manifest

    rollout = Rollout(service, namespace, canary, log_requests, sample)
    manifest = _manifest(home, model, version, artifacts, rollout)
    print_line(apply_manifest(manifest))
    about = manifest["metadata"]["annotations"]
    share = "all requests" if canary is None else f"{canary}% of the requests"
    print_line(f"{service} gives {share} to {about[MODEL]} version {about[VERSION]}")


def _manifest(
    home: Path, model: str, version: str, artifacts: str | None, rollout: "Rollout"
) -> dict[str, Any]:
    from pipelines.cluster.kserve import inference_service, version_storage
    from pipelines.models.version_cache import open_version

    found = open_version(home, model, version)
    if found.classifier is None:
        raise PipelineError(
            f"{found.name} version {found.version} must have an ONNX file to be served with KServe but has none: "
            "register it again by a new run."
        )
    storage = version_storage(home, found.name, found.version, artifacts)
    return inference_service(found.name, found.version, storage, rollout)
