"""Refusal of a run whose models would join those of another data set under one registered name."""

from typing import TYPE_CHECKING

from components.common.data.raw_data import raw_files
from components.common.data.source import SourceInfo
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION
from components.common.model.stored_version import verified_lineage
from components.common.model.version_tags import version_tags
from components.common.settings import settings
from components.common.tracking import tags
from components.common.tracking.client import find_registered_model, mlflow_must_answer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def refuse_foreign_model(
    model_name: str, info: SourceInfo, *, derived: bool, allow_unsigned: bool = False
) -> None:
    """Refuse to put models of two data sets under one registered name, where one would judge the other.

    The data sets are told apart by name and by the description of their images. A name that nobody gave is no proof
    that they are the same, so then either the address or the test images must be.

    Args:
        model_name: The registered model of this run.
        info: Description of this run's raw data.
        derived: Whether the data set's name was made of its address.
        allow_unsigned: Whether the last version may be without a signature by a trusted key.

    Raises:
        PipelineError: The registered model's last version is of another data set, is not what was signed, or must be
            signed but is not; or MLflow does not answer.
    """
    if not settings().mlflow_tracking_uri:
        return
    from mlflow import MlflowClient

    client = MlflowClient()
    with mlflow_must_answer():
        versions = client.search_model_versions(
            f"name = '{model_name}'", max_results=1, order_by=["version_number DESC"]
        )
        held = _data_of(client, versions[0], allow_unsigned) if versions else None
    if held is None:
        return
    if held.name != info.name:
        raise PipelineError(
            f"a registered model must hold one data set's models but {model_name!r} holds those of {held.name!r} "
            f"and this run is on {info.name!r}: choose another registry.model."
        )
    if difference := _difference(held.spec, info.spec):
        raise PipelineError(
            f"a registered model must hold models of the same images and classes but {difference} in "
            f"{model_name!r}: set another data.name or registry.model."
        )
    if derived and _elsewhere(held, info):
        raise PipelineError(
            f"data.name must be set for {info.source} because its name would be {info.name!r}, under which "
            f"{model_name!r} holds models of other data, from {held.source}, with other test images: set data.name."
        )


def refuse_unsigned_champion(model_name: str) -> None:
    """Refuse to train for a comparison with a champion that nothing may open; `evaluate` checks the signature itself.

    Raises:
        PipelineError: The champion is not signed, or MLflow does not answer.
    """
    if not settings().mlflow_tracking_uri:
        return
    from mlflow import MlflowClient

    with mlflow_must_answer():
        found = find_registered_model(MlflowClient(), model_name)
        number = found.aliases.get(CHAMPION) if found else None
        unsigned = (
            number and tags.SIGNING_KEY not in MlflowClient().get_model_version(model_name, number).tags
        )
    if unsigned:
        raise PipelineError(
            f"the champion, {model_name} version {number}, must be signed but is not: the holder of a key signs it by "
            "`mnist-pipeline models sign champion`; registry.allow_unsigned=true takes it as it is."
        )


def _difference(held: ImageSpec, found: ImageSpec) -> str:
    """Return in words how this run's images or classes differ from those of the model; "" where they do not."""
    if found.shape != held.shape:
        return f"this run's images are {found.size} and those are {held.size}"
    if len(found.classes) != len(held.classes):
        return f"this run's data has {len(found.classes)} classes and there are {len(held.classes)}"
    pairs = zip(found.classes, held.classes, strict=True)
    return next((f"this run's class {one!r} is {other!r}" for one, other in pairs if one != other), "")


def _elsewhere(held: SourceInfo, info: SourceInfo) -> bool:
    images, _ = raw_files("test", info.spec)
    # Versions of before may lack both.
    known = bool(held.source and images in held.files)
    return known and held.source != info.source and held.files[images] != info.files[images]


def _data_of(client: "MlflowClient", version: "ModelVersion", allow_unsigned: bool) -> SourceInfo | None:
    """Return the description of the raw data of a version, None where it is not known."""
    number = str(version.version)
    if lineage := verified_lineage(client, version.name, number, allow_unsigned=allow_unsigned):
        return lineage.training.dataset.raw
    # A version that was registered before records were kept has only tags.
    return version_tags(version.tags, version.name, number).source()
