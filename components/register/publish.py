"""Publication of a candidate as a version of the registered model: the one writer of the registry."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.model.aliases import CHALLENGER, CHAMPION
from components.common.model.exchange import EXCHANGE, Exchange
from components.common.model.lineage import LINEAGE, Lineage
from components.common.model.signing import (
    SIGNATURE_FILE,
    SigningKey,
    Statement,
    signed,
    signing_key,
    version_digests,
)
from components.common.storage.files import combined_digest
from components.common.tracking.client import all_pages
from components.common.tracking.tags import (
    APPROVAL,
    CLASSES,
    COMPARED_WITH,
    IMAGE_SIZE,
    MODEL_FILES,
    NOBODY,
    PIPELINE_RUN,
    SIGNING_KEY,
    WAITING,
    WEIGHTS,
)
from components.register.journal import move_champion, settle
from components.register.package import package
from components.register.verify import verify

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# Of the names of the classes; older servers of MLflow refuse a longer value.
LONGEST_TAG = 5000


@dataclass(frozen=True)
class Registration:
    """A registered model version."""

    name: str
    version: str
    uri: str
    aliases: tuple[str, ...]

    @property
    def waits(self) -> bool:
        """Whether somebody has to approve the version before it is champion."""
        return CHAMPION not in self.aliases

    @property
    def outcome(self) -> str:
        """What became of the version, in words."""
        became = "waits for approval" if self.waits else "is the new champion"
        return f"{self.name} version {self.version} {became}"


def publish(candidate: Path, lineage: Lineage, *, run_id: str) -> Registration:
    """Register the candidate, and make it champion unless the plan asks for an approval before.

    A version that waits leaves the champion alone, and the alias `challenger` names the latest one. Where a version
    with the same weights waits already, it is taken up, and no other is made.

    The champion alias moves last: a crash at any point before leaves the old champion in place, and a retry takes up
    the version that the first attempt made.

    Args:
        candidate: Model directory with model.keras.
        lineage: Records of the run, which are kept with the version.
        run_id: MLflow run that the version comes from; it goes on running.

    Raises:
        PipelineError: There is no key to sign it with. The champion is no longer the one that the candidate was
            compared with, or the stored model is not what was sent; the new version stays challenger.
    """
    from mlflow import MlflowClient

    client, key = MlflowClient(), signing_key()
    name, pipeline_run_id = lineage.plan.model_name, lineage.plan.run_id
    waits = lineage.plan.registry.approval == "required"
    registered = (
        _earlier_attempt(client, name, pipeline_run_id)
        or (_waiting_twin(client, lineage) if waits else None)
        or _new_version(client, candidate, lineage, run_id, key)
    )
    number = str(registered.version)
    # MLflow's list of versions shows the beginning as it is, marks and all.
    client.update_model_version(name, number, lineage.judgement.summary.removeprefix("## "))
    client.set_registered_model_alias(name, CHALLENGER, number)
    with TemporaryDirectory() as scratch:
        verify(client, name, number, Path(scratch, "model")).require()
    if waits:
        champion = {CHAMPION} if settle(client, name) == number else set()
        return Registration(name, number, f"models:/{name}/{number}", (CHALLENGER, *champion))
    move_champion(
        client,
        name,
        before=lineage.judgement.champion_version or "",
        after=number,
        action="register",
        who=f"pipeline run {pipeline_run_id}",
        why="passed the gate",
    )
    return Registration(name, number, f"models:/{name}/{number}", (CHALLENGER, CHAMPION))


def _earlier_attempt(client: "MlflowClient", name: str, pipeline_run_id: str) -> "ModelVersion | None":
    return _version_with(client, name, {PIPELINE_RUN: pipeline_run_id})


def _waiting_twin(client: "MlflowClient", lineage: Lineage) -> "ModelVersion | None":
    weights = {WEIGHTS: lineage.training.weights_digest}
    return _version_with(client, lineage.plan.model_name, weights | _approval_tags(lineage))


def _approval_tags(lineage: Lineage) -> dict[str, str]:
    return {APPROVAL: WAITING, COMPARED_WITH: lineage.judgement.champion_version or NOBODY}


def _version_with(client: "MlflowClient", name: str, tags: Mapping[str, str]) -> "ModelVersion | None":
    """Return the newest whole version with these tags, None where there is none."""
    found: ModelVersion
    for found in all_pages(client.search_model_versions, f"name = '{name}'"):
        if found.tags.items() >= tags.items() and found.status == "READY":
            return found
    return None


def _new_version(
    client: "MlflowClient", candidate: Path, lineage: Lineage, run_id: str, key: SigningKey
) -> "ModelVersion":
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import RestException

    name = lineage.plan.model_name
    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, name, run_id)
    with TemporaryDirectory() as scratch:
        directory = Path(scratch, "model")
        package(candidate, directory, logged, run_id)
        lineage.save(directory / LINEAGE)
        files = version_digests(directory)
        statement = Statement(name, lineage.plan.run_id, files)
        (directory / SIGNATURE_FILE).write_bytes(signed(statement, key))
        client.log_model_artifacts(logged.model_id, str(directory))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    try:
        client.create_registered_model(name)
    except RestException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {
        **lineage.tags(),
        PIPELINE_RUN: lineage.plan.run_id,
        "mlflow_run_id": run_id,
        "model_card": f"runs:/{run_id}/model_card.md",
        "model_digest": combined_digest(files),
        MODEL_FILES: json.dumps(files),
        SIGNING_KEY: key.id,
        "onnx": Exchange.load(candidate / EXCHANGE).summary,
        **_spec_tags(lineage),
        **(_approval_tags(lineage) if lineage.plan.registry.approval == "required" else {}),
    }
    return client.create_model_version(
        name, logged.model_uri, run_id=run_id, tags=tags, model_id=logged.model_id, await_creation_for=0
    )


def _spec_tags(lineage: Lineage) -> dict[str, str]:
    spec = lineage.training.dataset.spec
    names = json.dumps(spec.classes, ensure_ascii=False)
    return {IMAGE_SIZE: spec.size, **({CLASSES: names} if len(names) <= LONGEST_TAG else {})}
