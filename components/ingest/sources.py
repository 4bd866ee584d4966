"""Sources of images: an address, the object store, the public mirrors, or scikit-learn."""

import re
import threading
import time
import urllib.request
from pathlib import Path, PurePosixPath
from queue import Empty, SimpleQueue
from urllib.parse import SplitResult, unquote, urlsplit

from components.common.bounds import LARGEST_DOWNLOAD, MOST_FILES, require_within
from components.common.data.raw_data import raw_files
from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError, StatedError, UnavailableError
from components.common.narration import say
from components.common.plan.run import DataPlan
from components.common.storage.address import GIVE_AN_ADDRESS, absolute_uri, looked_up, shown
from components.common.storage.download import download, private_allowed
from components.common.storage.files import inside, sha256_file
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
SUFFIX = re.compile(r"\.\w{1,10}")
# Images and labels of the training part, then of the test part.
MNIST_FILES = (*raw_files("train", MNIST_SPEC), *raw_files("test", MNIST_SPEC))


def open_source(data: DataPlan, store: ObjectStore | None, scratch: Path) -> Form:
    """Recognize MNIST, the bundled digits, or the data at an address.

    Args:
        data: The plan's data section. Its source is `mnist`, `digits`, or an address: a path or a URI (file, http,
            https or s3) of a data set in a form of `components.ingest.detect`, or `env:NAME` for the address in
            that variable.
        store: The object store that may hold MNIST; None without one.
        scratch: Empty directory for files that are fetched or unpacked; the form reads from there.

    Raises:
        PipelineError: There is nothing at the address, it is private and the step is on a cluster, the data has
            another digest than `data.sha256`, or is of no known form.
        UnavailableError: The store, the server or every mirror does not answer.
    """
    if data.source == "digits":
        return digits_form()
    if data.source == "mnist":
        place = (store and _stored(store, scratch / "mnist")) or _mirrored(scratch)
    else:
        place = acquire(data.source, scratch / "fetched")
    if data.sha256:
        _require_digest(place, data.sha256)
    return recognize(place, data, scratch)


def _require_digest(place: Place, digest: str) -> None:
    found = sha256_file(place.path) if place.path.is_file() else "that of no file"
    if found != digest:
        raise PipelineError(
            f"{place.uri} must be a file with the sha256 {digest} but has {found}: correct data.sha256, or give the "
            "file that was meant."
        )


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
    refusals, away = [], False
    for number, mirror in enumerate(MIRRORS):
        say("ingest", f"fetching MNIST from {mirror}")
        try:
            return acquire(mirror, scratch / f"mirror-{number}")
        except StatedError as error:
            refusals.append(str(error).removesuffix("."))
            away = away or isinstance(error, UnavailableError)
    kind = UnavailableError if away else PipelineError
    raise kind(f"a mirror must give MNIST but none does ({'; '.join(refusals)}): {GIVE_AN_ADDRESS}.")


def acquire(address: str, target: Path) -> Place:
    """Return the place of the file or directory at an address; what lies elsewhere is fetched into `target`.

    From a web server comes one file, or a directory with MNIST's four files: it does not list its directories.

    Raises:
        PipelineError: There is nothing at the address, or it may not be read.
        UnavailableError: The store or the server does not answer.
    """
    address = looked_up(address)
    if place := local_place(address):
        if not private_allowed():
            raise PipelineError(
                f"data must come from an http, https or s3 address on a cluster but is {place.path}: put it into "
                "the object store, or set DATA_ALLOW_PRIVATE=1."
            )
        return place
    target.mkdir(parents=True)
    return _from_store(address, target) if address.startswith("s3://") else _from_web(address, target)


def local_place(address: str) -> Place | None:
    """Return the place of a file or directory on this machine; None for one that is elsewhere.

    Raises:
        PipelineError: There is nothing at the address.
    """
    uri = absolute_uri(looked_up(address))
    if not uri.startswith("file://"):
        return None
    path = Path(urllib.request.url2pathname(urlsplit(uri).path))
    if not path.exists():
        raise PipelineError(f"{path} must exist but does not: {GIVE_AN_ADDRESS}.")
    if not path.is_file() and not path.is_dir():
        raise PipelineError(
            f"{path} must be a file or a directory but is a pipe or a device: {GIVE_AN_ADDRESS}."
        )
    return Place(path, uri)


def _from_store(uri: str, target: Path) -> Place:
    store, key = ObjectStore.for_uri(uri)
    file = target / f"data{_suffix(PurePosixPath(key))}"
    if not key.endswith("/") and store.download(key, file):
        return Place(file, uri)
    prefix, size = key.rstrip("/") + "/", 0
    keys = [found for found in store.keys(prefix) if not found.endswith("/")]
    require_within(len(keys), MOST_FILES, f"{uri}: the number of objects", "give a part of them")
    for found in keys:
        path = inside(target, found.removeprefix(prefix))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            store.download(found, path)
        # In a store, but not on a disk, there can be an object `a` beside `a/b`.
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise PipelineError(
                f"{store.uri(found)} must be a file below {uri} but is a directory too: rename one of them."
            ) from error
        size += path.stat().st_size if path.exists() else 0
        require_within(size, LARGEST_DOWNLOAD, f"{uri}: bytes of all objects", "give a part of them")
    if not any(target.iterdir()):
        raise PipelineError(f"{uri} must be an object or a prefix of objects but is none: {GIVE_AN_ADDRESS}.")
    return Place(target, uri)


def _suffix(path: PurePosixPath) -> str:
    """Return the ending of a name from outside where it is a usual one."""
    return path.suffix if SUFFIX.fullmatch(path.suffix) else ""


def _from_web(uri: str, target: Path) -> Place:
    name, address = shown(uri), _split(uri)
    last = PurePosixPath(unquote(address.path))
    file = target / f"data{_suffix(last)}"
    if last.suffix and download(uri, file):
        return Place(file, name)
    found = [_fetch_spelled(address, known, target) for known in MNIST_FILES]
    if all(found):
        return Place(target, name)
    if any(found):
        missing = next(known for known, is_there in zip(MNIST_FILES, found, strict=True) if not is_there)
        raise PipelineError(f"{name} must hold {missing}, plain or .gz, but does not: {GIVE_AN_ADDRESS}.")
    if not last.suffix and download(uri, file):
        return Place(file, name)
    raise PipelineError(
        f"{name} must be a file, or hold {', '.join(MNIST_FILES)}, but does not: {GIVE_AN_ADDRESS}."
    )


def _split(uri: str) -> SplitResult:
    try:
        return urlsplit(uri)
    except ValueError as error:
        raise PipelineError(f"{shown(uri)} must be an address but is none: correct it.") from error


def _fetch_spelled(directory: SplitResult, file: str, target: Path) -> bool:
    """Fetch a file from an address under the first of its possible names that exists."""
    base = directory.path.rstrip("/")
    for spelling in (file, file.replace("-idx", ".idx")):
        for packed in (".gz", ""):
            uri = directory._replace(path=f"{base}/{spelling}{packed}", fragment="").geturl()
            try:
                if download(uri, target / f"{file}{packed}"):
                    return True
            except PipelineError:
                # A signature may be that of one file.
                if not directory.query:
                    raise
    return False
