"""The only writer of the model registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from components.common.registry import CHALLENGER, CHAMPION
from components.common.tracking import PIPELINE_RUN_TAG
from components.common.trained_model import MODEL_FILE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Registration:
    """A registered model version."""

    name: str
    version: str
    uri: str
    aliases: tuple[str, ...]


def register(
    candidate: Path,
    name: str,
    run_id: str,
    pipeline_run_id: str,
    judged_against: str | None,
    description: str,
    tags: Mapping[str, str],
) -> Registration:
    """Register the candidate and make it champion.

    The champion alias moves last: a crash at any point before leaves the old champion in place, and a retry takes up
    the version that the first attempt made.

    Args:
        candidate: Model directory with model.keras.
        name: Registered model to add a version to; created when missing.
        run_id: MLflow run that the version comes from; it goes on running.
        pipeline_run_id: Recognizes an earlier attempt of the same run.
        judged_against: Version of the champion that the candidate was compared with, if there was one.
        description: Markdown shown on the version's page.
        tags: Lineage of the version.

    Raises:
        PipelineError: Another run has moved the champion alias in the meantime; the new version stays challenger.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    found = _earlier_attempt(client, name, pipeline_run_id)
    registered = found or _new_version(
        client, candidate, name, run_id, {**tags, PIPELINE_RUN_TAG: pipeline_run_id}
    )
    client.update_model_version(name, registered.version, description)
    client.set_registered_model_alias(name, CHALLENGER, registered.version)
    _require_champion(client, name, judged_against, str(registered.version))
    client.set_registered_model_alias(name, CHAMPION, registered.version)
    return Registration(
        name, str(registered.version), f"models:/{name}/{registered.version}", (CHALLENGER, CHAMPION)
    )


def _require_champion(client: "MlflowClient", name: str, judged_against: str | None, own: str) -> None:
    champion = client.get_registered_model(name).aliases.get(CHAMPION)
    if champion is not None and str(champion) not in {judged_against, own}:
        raise PipelineError(
            f"the champion of {name!r} must still be the version that the candidate was compared with "
            f"({judged_against or 'none'}) but is now {champion}: run again to compare with that one."
        )


def _earlier_attempt(client: "MlflowClient", name: str, pipeline_run_id: str) -> "ModelVersion | None":
    for found in client.search_model_versions(f"name = '{name}'"):
        if found.tags.get(PIPELINE_RUN_TAG) == pipeline_run_id and found.status == "READY":
            return found
    return None


def _new_version(
    client: "MlflowClient", candidate: Path, name: str, run_id: str, tags: dict[str, str]
) -> "ModelVersion":
    import keras
    import mlflow
    from mlflow.exceptions import RestException

    model = keras.models.load_model(candidate / MODEL_FILE, compile=False)
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.keras.log_model(
            model, name=name, signature=signature(), pip_requirements=requirements()
        )
    client.update_run(run_id, status="RUNNING")
    try:
        client.create_registered_model(name)
    except RestException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(
        name, logged.model_uri, run_id=run_id, tags=tags, model_id=logged.model_id
    )


def signature() -> Any:
    """The served schema: uint8 images in, class probabilities out."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, 28, 28), "image")]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 10))]),
    )


def requirements() -> list[str]:
    """The pinned packages that a server of the model needs."""
    return [f"{_tensorflow()}", f"keras=={version('keras')}", f"numpy=={version('numpy')}"]


def _tensorflow() -> str:
    for package in ("tensorflow-cpu", "tensorflow"):
        try:
            return f"{package}=={version(package)}"
        except PackageNotFoundError:
            continue
    raise PipelineError("a model can only be registered where TensorFlow is installed but it is not.")
