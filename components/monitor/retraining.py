"""Retraining after drift: started once for a window, with the requests whose labels came in."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.data.source import LABELLED
from components.common.errors import PipelineError
from components.common.model.aliases import HISTORY_SUFFIX
from components.common.narration import say
from components.common.patience import patiently
from components.common.storage.object_store import ObjectStore
from components.common.tracking.client import mlflow_must_answer
from components.monitor.result import Monitoring

STEP = "monitor"
LABELLED_FILE = "labelled.npz"
# Tag and description of a claim.
OWNER, ABOUT = (
    "owner",
    "A claim, not a model: its owner retrains because the requests of this window have drifted.",
)


def keep_labelled(target: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Write the requests whose labels came in into a directory, as batches of labelled images are; none is no file.

    Args:
        target: The directory.
        images: uint8, N x height x width x channels.
        labels: Place of the true class, N; -1 where it is not known.
    """
    known = labels >= 0
    (target / LABELLED_FILE).unlink(missing_ok=True)
    if known.any():
        np.savez_compressed(target / LABELLED_FILE, images=images[known], labels=labels[known])


def claim_retraining(found: Monitoring, window: Path, owner: str) -> bool:
    """Claim the retraining for a window that has drifted; return whether it is this owner's to start.

    A claim is a registered model without versions, since MLflow makes one of a name only once. With the claim the
    labelled requests are added to the images that every run on the data set trains on.

    Args:
        found: What was found in the window.
        window: Directory that `keep_labelled` wrote to.
        owner: Who would start it; the same in a second attempt.

    Raises:
        PipelineError: MLflow or the store refuses, or there are labelled requests and no store is named.
        UnavailableError: MLflow or the store does not answer for OUTAGE_SECONDS.
    """
    batch = window / LABELLED_FILE
    store = _store() if batch.exists() else None
    holder = patiently(STEP, lambda: _holder(found, owner))
    if holder != owner:
        say(
            STEP,
            f"no retraining is started: {holder} has started one for this window; "
            f"delete the registered model {claim_name(found)} for another",
        )
        return False
    if store is None:
        say(STEP, "no request has a label: the retraining has no new images")
        return True
    key = f"{LABELLED}/{found.dataset}/requests-v{found.version}-{found.window}.npz"
    patiently(STEP, lambda: store.upload(batch, key))
    say(STEP, f"{found.labelled:,} labelled requests are added to the training images of {found.dataset}")
    return True


def _holder(found: Monitoring, owner: str) -> str:
    """Make the claim where there is none, and return whose it is."""
    from mlflow import MlflowClient
    from mlflow.exceptions import RestException

    client, name = MlflowClient(), claim_name(found)
    with mlflow_must_answer():
        try:
            client.create_registered_model(name, {OWNER: owner}, ABOUT)
        except RestException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return str(client.get_registered_model(name).tags.get(OWNER))


def release_retraining(found: Monitoring) -> None:
    """Take the claim back, so that the window may be retrained after all.

    Raises:
        PipelineError: MLflow refuses.
        UnavailableError: It does not answer for OUTAGE_SECONDS.
    """
    from mlflow import MlflowClient

    def released() -> None:
        with mlflow_must_answer():
            MlflowClient().delete_registered_model(claim_name(found))

    patiently(STEP, released)


def claim_name(found: Monitoring) -> str:
    """Return the name of the claim; commands pass over what ends like a history."""
    return f"{found.model}.v{found.version}.{found.window}{HISTORY_SUFFIX}"


def _store() -> ObjectStore:
    if store := ObjectStore.from_environment():
        return store
    raise PipelineError(
        "labelled requests go to the object store of the runs but none is named: set S3_ENDPOINT_URL or S3_BUCKET."
    )
