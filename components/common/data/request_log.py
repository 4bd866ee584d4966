"""Requests that a served model has answered, kept in the object store for whoever watches the model."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_IN_MEMORY, LARGEST_REQUEST_LOG, require_within
from components.common.data.npy import NpyFile
from components.common.errors import PipelineError, stated
from components.common.narration import say

if TYPE_CHECKING:
    from components.common.storage.object_store import ObjectStore

# From the first to the last request of one file, whose name has the time of the first.
LONGEST_BATCH = 3600.0  # seconds
MOST_DAYS = 366
# dtype.kind and number of dimensions of each array.
FORMS = {
    "ids": ("U", 1),
    "times": ("f", 1),
    "images": ("u", 4),
    "probabilities": ("f", 2),
    "versions": ("U", 1),
    "rejected": ("b", 1),
}


@dataclass(frozen=True, eq=False)
class Requests:
    """Images that were asked about, with the answers.

    Attributes:
        ids: Text, N; the id that the client was told, under which a label may come in later.
        times: float64, N, seconds since 1970 in UTC.
        images: uint8, N x height x width x channels, as the model got them.
        probabilities: float32, N x classes.
        versions: Text, N; the number of the version that answered.
        rejected: bool, N; whether the top probability was below the version's limit.
    """

    ids: NDArray[np.str_]
    times: NDArray[np.float64]
    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    versions: NDArray[np.str_]
    rejected: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


def write_requests(store: "ObjectStore", prefix: str, requests: Requests) -> str:
    """Store a batch of at least one request as `PREFIX/YYYY-MM-DD/HHMMSS-RANDOM.npz`, and return the key.

    Args:
        store: Where to.
        prefix: Start of the key, without a slash at the end.
        requests: All of one shape of images, at most `LONGEST_BATCH` from the first to the last.

    Raises:
        PipelineError: The batch is too long or too large, or the store refuses.
        UnavailableError: The store does not answer.
    """
    require_within(int(np.ptp(requests.times)), int(LONGEST_BATCH), "seconds of a batch", "write it earlier")
    arrays = {field.name: getattr(requests, field.name) for field in fields(requests)}
    size = sum(array.nbytes for array in arrays.values())
    require_within(size, LARGEST_REQUEST_LOG, "bytes of a batch", "write it earlier")
    start = datetime.fromtimestamp(float(requests.times.min()), UTC)
    key = f"{prefix}/{start:%Y-%m-%d/%H%M%S}-{secrets.token_hex(4)}.npz"
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "requests.npz")
        np.savez_compressed(path, **arrays)
        store.upload(path, key)
    return key


def read_requests(store: "ObjectStore", prefix: str, since: float, until: float) -> Requests | None:
    """Return the requests of a window in the order of their times, None where there are none.

    Files are read from the newest. What is older than the newest `LARGEST_IN_MEMORY` bytes is left out, and so are
    files that are damaged, and those of images or classes of other numbers than the newest have. Each is said.

    Args:
        store: Where from.
        prefix: As it was given to `write_requests`.
        since: Start of the window, seconds since 1970 in UTC.
        until: Its end, which is not part of it.

    Raises:
        PipelineError: The window is no window or too long, or the store refuses.
        UnavailableError: The store does not answer.
    """
    found: list[Requests] = []
    room = LARGEST_IN_MEMORY
    for key, size in _files(store, prefix, since, until):
        try:
            part = _within(_read(store, key, size), since, until)
            if found:
                _require_same_form(part, found[0])
        except PipelineError as error:
            if stated(error) is not error:  # a full disk or memory says nothing of the file
                raise
            say("requests", f"{store.uri(key)} is left out: {error}")
            continue
        room -= part.images.nbytes
        if room < 0 and found:
            say("requests", f"requests up to {store.uri(key)} are left out: the newer ones fill the memory")
            break
        if len(part):
            found.append(part)
    if not found:
        return None
    joined = joined_requests(found)
    return _chosen(joined, np.argsort(joined.times, kind="stable"))


def joined_requests(parts: Sequence[Requests]) -> Requests:
    """Return at least one batch as one; all have one shape of images and one number of classes."""
    return Requests(*(np.concatenate([getattr(part, name) for part in parts]) for name in FORMS))


def _files(store: "ObjectStore", prefix: str, since: float, until: float) -> Iterator[tuple[str, int]]:
    """Yield key and size of the files that may hold requests of a window, newest first."""
    if not 0 <= since < until:
        raise PipelineError(f"a window must start before its end but is {since:g} to {until:g}: correct it.")
    first = datetime.fromtimestamp(max(0.0, since - LONGEST_BATCH), UTC)
    last = datetime.fromtimestamp(until, UTC)
    require_within((last - first).days, MOST_DAYS, "days of a window", "take a shorter one")
    # The names of the files sort by time.
    earliest, latest = (f"{prefix}/{time:%Y-%m-%d/%H%M%S}" for time in (first, last))
    day = last
    while day.date() >= first.date():
        sizes = store.sizes(f"{prefix}/{day:%Y-%m-%d}/")
        for key in sorted(sizes, reverse=True):
            if key.endswith(".npz") and earliest <= key and key[: len(latest)] <= latest:
                yield key, sizes[key]
        day -= timedelta(days=1)


def _read(store: "ObjectStore", key: str, size: int) -> Requests:
    """Return the requests of one file.

    Raises:
        PipelineError: It is none of this module's.
    """
    require_within(size, LARGEST_REQUEST_LOG, "its bytes", "delete it")
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "requests.npz")
        if not store.download(key, path):
            raise PipelineError("it must be there but is gone: nothing is to be done.")
        held = {name: NpyFile(path, f"its member {name}", f"{name}.npy") for name in FORMS}
        unpacked = sum(array.nbytes for array in held.values())
        require_within(unpacked, LARGEST_REQUEST_LOG, "its bytes, unpacked,", "delete it")
        return _checked({name: array.array() for name, array in held.items()})


def _checked(arrays: dict[str, NDArray[Any]]) -> Requests:
    count = len(arrays["ids"]) if arrays["ids"].ndim else 0
    for name, (kind, dimensions) in FORMS.items():
        array = arrays[name]
        if (array.dtype.kind, array.ndim) != (kind, dimensions) or len(array) != count:
            raise PipelineError(
                f"its {name} must be {count} rows in {dimensions} dimensions but are {array.shape} of {array.dtype}."
            )
    if arrays["images"].dtype != np.uint8 or not np.isfinite(arrays["probabilities"]).all():
        raise PipelineError("its images must be uint8, and its probabilities finite, but they are not.")
    return Requests(**arrays)


def _require_same_form(part: Requests, first: Requests) -> None:
    form, expected = ((given.images.shape[1:], given.probabilities.shape[1]) for given in (part, first))
    if form != expected:
        raise PipelineError(
            f"its images and classes must be those of the newest, {expected}, but are {form}."
        )


def _within(requests: Requests, since: float, until: float) -> Requests:
    return _chosen(requests, np.flatnonzero((since <= requests.times) & (requests.times < until)))


def _chosen(requests: Requests, rows: NDArray[np.intp]) -> Requests:
    return Requests(*(getattr(requests, name)[rows] for name in FORMS))
