"""Sources of images: an address, the object store, the public mirrors, or scikit-learn."""

import threading
import time
import urllib.request
from pathlib import Path, PurePosixPath
from queue import Empty, SimpleQueue
from urllib.parse import unquote, urlsplit

from components.common.data.raw_data import raw_files
from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.common.narration import say
from components.common.plan.run import DataPlan
from components.common.storage.address import GIVE_AN_ADDRESS, absolute_uri, fetch, shown
from components.common.storage.object_store import ObjectStore
from components.ingest.detect import recognize
from components.ingest.digits import digits_form
from components.ingest.form import Form, Place

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
# Images and labels of the training part, then of the test part.
MNIST_FILES = (*raw_files("train", MNIST_SPEC), *raw_files("test", MNIST_SPEC))


def open_source(data: DataPlan, store: ObjectStore | None, scratch: Path) -> Form:
    """Recognize MNIST, the bundled digits, or the data at an address.

    Args:
        data: The plan's data section. Its source is `mnist`, `digits`, or an address: a path or a URI (file, http,
            https or s3) of a data set in a form of `components.ingest.detect`.
        store: The object store that may hold MNIST; None without one.
        scratch: Empty directory for files that are fetched or unpacked; the form reads from there.

    Raises:
        PipelineError: There is nothing at the address, no mirror answers, or the data is of no known form.
    """
    if data.source == "digits":
        return digits_form()
    if data.source == "mnist":
        place = (store and _stored(store, scratch / "mnist")) or _mirrored(scratch)
    else:
        place = acquire(data.source, scratch / "fetched")
    return recognize(place, data, scratch)


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
        response = requests.head(f"{mirror}{MNIST_FILES[0]}.gz", timeout=seconds, allow_redirects=True)
        answers.put(mirror if response.ok else None)
    except requests.RequestException:
        answers.put(None)


def _stored(store: ObjectStore, target: Path) -> Place | None:
    target.mkdir()
    for file, digest in MNIST_SHA256.items():
        if not store.get_content(digest, target / file):
            return None
    return Place(target, store.uri("objects/sha256"))


def _mirrored(scratch: Path) -> Place:
    refusals = []
    for number, mirror in enumerate(MIRRORS):
        say("ingest", f"fetching MNIST from {mirror}")
        try:
            return acquire(mirror, scratch / f"mirror-{number}")
        except PipelineError as error:
            refusals.append(str(error).removesuffix("."))
    raise PipelineError(f"a mirror must give MNIST but none does ({'; '.join(refusals)}): {GIVE_AN_ADDRESS}.")


def acquire(address: str, target: Path) -> Place:
    """Return the place of the file or directory at an address; what lies elsewhere is fetched into `target`.

    From a web server comes one file, or a directory with MNIST's four files: it does not list its directories.

    Raises:
        PipelineError: There is nothing at the address, or it cannot be fetched.
    """
    if place := local_place(address):
        return place
    target.mkdir(parents=True)
    return _from_store(address, target) if address.startswith("s3://") else _from_web(address, target)


def local_place(address: str) -> Place | None:
    """Return the place of a file or directory on this machine; None for one that is elsewhere.

    Raises:
        PipelineError: There is nothing at the address.
    """
    uri = absolute_uri(address)
    if not uri.startswith("file://"):
        return None
    path = Path(urllib.request.url2pathname(urlsplit(uri).path))
    if not path.exists():
        raise PipelineError(f"{path} must exist but does not: {GIVE_AN_ADDRESS}.")
    return Place(path, uri)


def _from_store(uri: str, target: Path) -> Place:
    store, key = ObjectStore.for_uri(uri)
    file = target / f"data{PurePosixPath(key).suffix}"
    if not key.endswith("/") and store.download(key, file):
        return Place(file, uri)
    prefix = key.rstrip("/") + "/"
    for found in store.keys(prefix):
        name = PurePosixPath(found.removeprefix(prefix))
        if found.endswith("/") or name.is_absolute() or ".." in name.parts:
            continue
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        store.download(found, path)
    if not any(target.iterdir()):
        raise PipelineError(f"{uri} must be an object or a prefix of objects but is none: {GIVE_AN_ADDRESS}.")
    return Place(target, uri)


def _from_web(uri: str, target: Path) -> Place:
    name = shown(uri)
    last = PurePosixPath(unquote(urlsplit(uri).path))
    file = target / f"data{last.suffix}"
    if last.suffix and fetch(uri, file):
        return Place(file, name)
    base = name.rstrip("/")
    found = [_fetch_spelled(base, known, target) for known in MNIST_FILES]
    if all(found):
        return Place(target, name)
    if any(found):
        missing = next(known for known, is_there in zip(MNIST_FILES, found, strict=True) if not is_there)
        raise PipelineError(f"{name} must hold {missing}, plain or .gz, but does not: {GIVE_AN_ADDRESS}.")
    if not last.suffix and fetch(uri, file):
        return Place(file, name)
    raise PipelineError(
        f"{name} must be a file, or hold {', '.join(MNIST_FILES)}, but does not: {GIVE_AN_ADDRESS}."
    )


def _fetch_spelled(base: str, file: str, target: Path) -> bool:
    """Fetch a file from `base` under the first of its possible names that exists."""
    return any(
        fetch(f"{base}/{spelling}{packed}", target / f"{file}{packed}")
        for spelling in (file, file.replace("-idx", ".idx"))
        for packed in (".gz", "")
    )
