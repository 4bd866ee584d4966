"""Sources of images: an address, the object store, the public mirrors, or scikit-learn."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory

from components.common.data.dataset import Split, checked_split
from components.common.data.idx import read_idx
from components.common.data.raw_data import RAW_FILES, read_part
from components.common.errors import PipelineError
from components.common.narration import say
from components.common.storage.address import GIVE_AN_ADDRESS, absolute_uri, fetch, without_query
from components.common.storage.object_store import ObjectStore
from components.ingest.digits import load_digits
from components.ingest.npz import read_npz

# Digests of the decompressed files.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


@dataclass(frozen=True, eq=False)
class Source:
    """Training part, test part, and their address."""

    train: Split
    test: Split
    uri: str


def load_source(data: str, store: ObjectStore | None) -> Source:
    """Load MNIST, the bundled digits, or the data at an address.

    Args:
        data: `mnist`, `digits`, or an address: a path or a URI (file, http, https or s3). An address leads to one npz
            file with the arrays of Keras's `mnist.npz`, or to a directory with MNIST's four files. The files may be
            plain or gzip-compressed, and may be spelled like `train-images.idx3-ubyte`.
        store: The object store that may hold MNIST; None without one.

    Raises:
        PipelineError: There is nothing at the address, no mirror answers, or the data breaks a rule.
    """
    if data == "digits":
        return Source(*load_digits(), uri="sklearn.datasets.load_digits")
    if data == "mnist":
        return (store and _load_stored(store)) or _load_mirrored()
    return _load_address(data)


def mnist_available(store: ObjectStore | None, seconds: float = 3) -> str | None:
    """Return the address of MNIST: the object store's, or that of a mirror which answers in time.

    Args:
        store: The object store; None without one.
        seconds: Time limit for the mirrors.

    Returns:
        The address; None where neither has MNIST.

    Raises:
        PipelineError: The object store cannot be reached or refuses.
    """
    if store and all(store.has_content(digest) for digest in MNIST_SHA256.values()):
        return store.endpoint
    answers: SimpleQueue[str | None] = SimpleQueue()
    deadline = time.monotonic() + seconds
    for mirror in MIRRORS:
        # Daemon threads: the look-up of a host's name can take longer than the time limit.
        threading.Thread(target=_probe, args=(mirror, seconds, answers), daemon=True).start()
    for _ in MIRRORS:
        try:
            answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            return None
        if answer:
            return answer
    return None


def _probe(mirror: str, seconds: float, answers: SimpleQueue[str | None]) -> None:
    import requests

    try:
        response = requests.head(f"{mirror}{RAW_FILES['train'][0]}.gz", timeout=seconds, allow_redirects=True)
        answers.put(mirror if response.ok else None)
    except requests.RequestException:
        answers.put(None)


def _load_stored(store: ObjectStore) -> Source | None:
    with TemporaryDirectory() as scratch:
        for file, digest in MNIST_SHA256.items():
            if not store.get_content(digest, Path(scratch, file)):
                return None
        train, test = (read_part(Path(scratch), part) for part in RAW_FILES)
    return Source(train, test, store.uri("objects/sha256"))


def _load_mirrored() -> Source:
    refusals = []
    for mirror in MIRRORS:
        say("ingest", f"fetching MNIST from {mirror}")
        try:
            return _load_address(mirror)
        except PipelineError as error:
            refusals.append(str(error).removesuffix("."))
    raise PipelineError(f"a mirror must give MNIST but none does ({'; '.join(refusals)}): {GIVE_AN_ADDRESS}.")


def _load_address(address: str) -> Source:
    uri = absolute_uri(address)
    with TemporaryDirectory() as scratch:
        if without_query(uri).endswith(".npz"):
            train, test = _load_npz(uri, Path(scratch, "data.npz"))
        else:
            train, test = (_load_part(uri.rstrip("/"), part, Path(scratch)) for part in RAW_FILES)
    return Source(train, test, without_query(uri))


def _load_npz(uri: str, scratch: Path) -> tuple[Split, Split]:
    name = without_query(uri)
    if not fetch(uri, scratch):
        raise PipelineError(f"{name} must exist but does not: {GIVE_AN_ADDRESS}.")
    x_train, y_train, x_test, y_test = read_npz(scratch, ("x_train", "y_train", "x_test", "y_test"), name)
    return (
        checked_split(x_train, y_train, (f"{name}: x_train", f"{name}: y_train")),
        checked_split(x_test, y_test, (f"{name}: x_test", f"{name}: y_test")),
    )


def _load_part(base: str, part: str, scratch: Path) -> Split:
    images_file, labels_file = RAW_FILES[part]
    images_uri = _fetch_spelled(base, images_file, scratch)
    labels_uri = _fetch_spelled(base, labels_file, scratch)
    return checked_split(
        read_idx(scratch / images_file, 3, images_uri),
        read_idx(scratch / labels_file, 1, labels_uri),
        (images_uri, labels_uri),
    )


def _fetch_spelled(base: str, file: str, scratch: Path) -> str:
    """Fetch a file from `base` under the first of its possible names that exists, and return its URI."""
    for spelling in (file, file.replace("-idx", ".idx")):
        for uri in (f"{base}/{spelling}.gz", f"{base}/{spelling}"):
            if fetch(uri, scratch / file):
                return uri
    raise PipelineError(f"{base} must hold {file}, plain or .gz, but does not: {GIVE_AN_ADDRESS}.")
