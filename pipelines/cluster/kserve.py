"""KServe's service of a registered version."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError, UnavailableError
from components.common.settings import environment, settings
from components.common.storage.s3 import DEFAULT_BUCKET
from pipelines.local.mlflow_server import ARTIFACTS

if TYPE_CHECKING:
    from pathlib import Path

MANAGER = "mnist-pipeline"
# The ServingRuntime and the ServiceAccount of infra/kserve, and its Secret for the request log.
RUNTIME, ACCOUNT, LOG_SECRET = "mnist-pipeline", "mnist-model", "mnist-model-log"
MODEL, VERSION = "mnist-pipeline/model", "mnist-pipeline/version"
KEPT_BY_SERVER = re.compile("mlflow-artifacts:/+(?=[^/])")
NAME = re.compile("[a-z]([a-z0-9-]{0,48}[a-z0-9])?")
APPLY_SECONDS = 60


@dataclass(frozen=True)
class Rollout:
    """How a version is served.

    Attributes:
        service: Name of the InferenceService.
        namespace: Where it is.
        canary: Percent of the requests that this version gets while another gets the rest; None for all of them.
        log_requests: Address below which requests are kept; None for nowhere.
        sample: Share of the images that are kept.
    """

    service: str
    namespace: str
    canary: int | None = None
    log_requests: str | None = None
    sample: float = 0.1


def version_storage(home: "Path", model: str, version: str, artifacts: str | None) -> str:
    """Return the address in the object store of a registered version's files.

    Args:
        home: Directory of the embedded platform. The registry is there, or where the settings say.
        model: Name of the registered model.
        version: Its number.
        artifacts: Where the MLflow server keeps what it is given; without it `mlflow` in the bucket of the settings.

    Raises:
        PipelineError: The registry does not answer, or the files are in no store of objects.
    """
    from pipelines.models.reader import open_reader

    with open_reader(home) as reader:
        (found,) = (known for known in reader.versions(model) if known.version == version)
        location = reader.location(found)
    root = artifacts or f"s3://{settings().s3_bucket or DEFAULT_BUCKET}/{ARTIFACTS}"
    address = KEPT_BY_SERVER.sub(f"{root.rstrip('/')}/", location)
    if not re.match(r"(s3|gs)://", address):
        raise PipelineError(
            f"{model} version {version} must lie in an object store but is at {address}: name with --artifacts where "
            "the MLflow server keeps its files, such as s3://bucket/mlflow."
        )
    return address


def inference_service(model: str, version: str, storage: str, rollout: Rollout) -> dict[str, Any]:
    """Return the InferenceService of a version, for the runtime of infra/kserve.

    Args:
        model: Name of the registered model.
        version: Its number.
        storage: Address of its files.
        rollout: How it is served.

    Raises:
        PipelineError: The name of the service is none that Kubernetes takes.
    """
    if not NAME.fullmatch(rollout.service):
        raise PipelineError(
            f"--service must be small letters, digits and - but got {rollout.service!r}: give another."
        )
    arguments = ["--version", version]
    logging: dict[str, Any] = {}
    if rollout.log_requests:
        arguments += ["--log-requests", rollout.log_requests, "--sample", f"{rollout.sample:g}"]
        # Address and keys of a store that may be written to, which the keys to the models need not be.
        logging = {"envFrom": [{"secretRef": {"name": LOG_SECRET}}]}
    predictor: dict[str, Any] = {
        "serviceAccountName": ACCOUNT,
        "model": {
            "modelFormat": {"name": RUNTIME},
            "runtime": RUNTIME,
            "storageUri": storage,
            # KServe adds them to those of the runtime.
            "args": arguments,
            **logging,
        },
    }
    if rollout.canary is not None:
        predictor["canaryTrafficPercent"] = rollout.canary
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": rollout.service,
            "namespace": rollout.namespace,
            "annotations": {MODEL: model, VERSION: version},
        },
        "spec": {"predictor": predictor},
    }


def apply_manifest(manifest: dict[str, Any]) -> str:
    """Give a manifest to the cluster of kubectl's context, and return what kubectl says.

    Fields that an earlier call gave and this one does not are removed, such as the percentage of a canary.

    Raises:
        PipelineError: There is no kubectl, or the cluster refuses.
        UnavailableError: The cluster does not answer.
    """
    if shutil.which("kubectl") is None:
        raise PipelineError(
            "kubectl must be installed but is not: install it, or apply what `mnist-pipeline kserve render` writes."
        )
    command = ["kubectl", "apply", "--server-side", f"--field-manager={MANAGER}", "--filename=-"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(manifest),
            capture_output=True,
            text=True,
            timeout=APPLY_SECONDS,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"the cluster must answer kubectl in {APPLY_SECONDS} s but did not.") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or "without a reason"
        raise PipelineError(
            f"the cluster must take {manifest['kind']} {manifest['metadata']['name']} but refuses ({said}): "
            "make kubectl's context a cluster with KServe, and apply infra/kserve first."
        )
    return done.stdout.strip()
