"""Retraining after drift: started once for a window, with the requests whose labels came in."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from components.common.data.request_log import Requests
from components.common.data.source import LABELLED
from components.common.errors import PipelineError
from components.common.narration import say
from components.common.storage.object_store import ObjectStore
from components.monitor.result import Monitoring

STEP = "monitor"
PREFIX = "monitor"
LONGEST_OWNER = 200


def claim_retraining(found: Monitoring, owner: str) -> bool:
    """Claim the retraining for a window that has drifted; return whether it is this owner's to start.

    A claim is an object that is created only where there is none. The store is asked afterwards whose it has kept.

    Args:
        found: What was found in the window.
        owner: Who would start it; the same in a second attempt.

    Raises:
        PipelineError: No store is named, or it refuses.
        UnavailableError: It does not answer.
    """
    store, key = _store(), _key(found)
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "claim")
        path.write_text(owner)
        store.create(path, key)
        if not store.download(key, path):
            raise PipelineError(f"{store.uri(key)} must be kept by the store but is gone: start this again.")
        holder = path.read_text(errors="replace")[:LONGEST_OWNER]
    if holder == owner:
        return True
    say(
        STEP,
        f"no retraining is started: {holder} has started one for this window; delete {store.uri(key)} for another",
    )
    return False


def release_retraining(found: Monitoring) -> None:
    """Take the claim back, so that the window may be retrained after all.

    Raises:
        PipelineError: No store is named, or it refuses.
        UnavailableError: It does not answer.
    """
    _store().delete(_key(found))


def add_labelled(found: Monitoring, requests: Requests, labels: NDArray[np.int64]) -> int:
    """Add the labelled requests to those images that every run on the data set trains on, and return their number.

    Args:
        found: What was found in the window.
        requests: Of the version, N.
        labels: Place of the true class, N; -1 where it is not known.

    Raises:
        PipelineError: No store is named, or it refuses.
        UnavailableError: It does not answer.
    """
    known = labels >= 0
    if known.any():
        store, name = _store(), f"requests-v{found.version}-{found.window}.npz"
        with TemporaryDirectory() as scratch:
            path = Path(scratch, name)
            np.savez_compressed(path, images=requests.images[known], labels=labels[known])
            store.upload(path, f"{LABELLED}/{found.dataset}/{name}")
    return int(known.sum())


def _key(found: Monitoring) -> str:
    return f"{PREFIX}/{found.model}/v{found.version}/{found.window}"


def _store() -> ObjectStore:
    if store := ObjectStore.from_environment():
        return store
    raise PipelineError(
        "a retraining needs the object store of the runs but none is named: set S3_ENDPOINT_URL or S3_BUCKET."
    )
