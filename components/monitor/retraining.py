"""Retraining after drift: started once for a window, with the requests whose labels came in."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from components.common.data.source import LABELLED
from components.common.errors import PipelineError
from components.common.narration import say
from components.common.patience import patiently
from components.common.storage.object_store import ObjectStore
from components.monitor.result import Monitoring

STEP = "monitor"
PREFIX = "monitor"
LABELLED_FILE = "labelled.npz"
LONGEST_OWNER = 200


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

    A claim is an object that is created only where there is none. The store is asked afterwards whose it has kept. With
    the claim the labelled requests are added to the images that every run on the data set trains on.

    Args:
        found: What was found in the window.
        window: Directory that `keep_labelled` wrote to.
        owner: Who would start it; the same in a second attempt.

    Raises:
        PipelineError: No store is named, or it refuses.
        UnavailableError: It does not answer for OUTAGE_SECONDS.
    """
    store = _store()
    holder = patiently(STEP, lambda: _holder(store, _key(found), owner))
    if holder != owner:
        say(
            STEP,
            f"no retraining is started: {holder} has started one for this window; "
            f"delete {store.uri(_key(found))} for another",
        )
        return False
    if not (window / LABELLED_FILE).exists():
        say(STEP, "no request has a label: the retraining has no new images")
        return True
    key = f"{LABELLED}/{found.dataset}/requests-v{found.version}-{found.window}.npz"
    patiently(STEP, lambda: store.upload(window / LABELLED_FILE, key))
    say(STEP, f"{found.labelled:,} labelled requests are added to the training images of {found.dataset}")
    return True


def _holder(store: ObjectStore, key: str, owner: str) -> str:
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "claim")
        path.write_text(owner)
        store.create(path, key)
        if not store.download(key, path):
            raise PipelineError(f"{store.uri(key)} must be kept by the store but is gone: start this again.")
        return path.read_text(errors="replace")[:LONGEST_OWNER]


def release_retraining(found: Monitoring) -> None:
    """Take the claim back, so that the window may be retrained after all.

    Raises:
        PipelineError: No store is named, or it refuses.
        UnavailableError: It does not answer for OUTAGE_SECONDS.
    """
    patiently(STEP, lambda: _store().delete(_key(found)))


def _key(found: Monitoring) -> str:
    return f"{PREFIX}/{found.model}/v{found.version}/{found.window}"


def _store() -> ObjectStore:
    if store := ObjectStore.from_environment():
        return store
    raise PipelineError(
        "a retraining needs the object store of the runs but none is named: set S3_ENDPOINT_URL or S3_BUCKET."
    )
