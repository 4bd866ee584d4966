"""The log of a model server: a sample of the requests, kept in the object store by a thread of its own."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from components.common.data.request_log import LONGEST_BATCH, Requests, joined_requests, write_requests
from components.common.errors import PipelineError, UnavailableError, first_line
from components.common.narration import say
from components.common.storage.object_store import ObjectStore
from pipelines.models.served import Served

# What waits is written so often, and is so many bytes at most: these bound memory and rate.
WRITE_SECONDS, MOST_WAITING = 30.0, 16 * 2**20
# Until a server that ends gives up writing.
END_SECONDS = 20.0
ABOUT_FILE, ABOUT = "about.txt", "Images and answers of a served model, which may be personal data.\n"
# What an id, a time and a version may take beside image and probabilities.
ROW_BYTES = 1024


class RequestLogger:
    """Requests that wait to be written. Whoever adds to them waits for nothing, and is told of no failure.

    What finds no room is dropped and counted. What the store did not take is tried again, up to the age that one file
    may have.

    Attributes:
        chosen: Images of the sample.
        kept: Those written so far.
        dropped: Those that found no room, or no store.
        problem: Why the last attempt to write failed; "" if it did not.
    """

    def __init__(self, store: ObjectStore, prefix: str, sample: float) -> None:
        self.chosen, self.kept, self.dropped, self.problem = 0, 0, 0, ""
        self._store, self._prefix, self._sample = store, prefix, sample
        self._waiting: deque[Requests] = deque()
        self._bytes = 0
        self._chance, self._lock, self._ending = np.random.default_rng(), threading.Lock(), threading.Event()

    def add(
        self, request: str, served: Served, images: NDArray[np.uint8], answers: NDArray[np.float32]
    ) -> None:
        """Take a sample of the images of a request, with the answers.

        Args:
            request: Id of the request. That of an image has its number at its end where there are several.
            served: What answered.
            images: uint8, N x height x width x channels.
            answers: Probabilities, N x classes.
        """
        chosen = np.flatnonzero(self._chance.random(len(images)) < self._sample)
        row = _row_bytes(images, answers)
        with self._lock:
            room = max(0, (MOST_WAITING - self._bytes) // row)
            self.chosen += len(chosen)
            self.dropped += max(0, len(chosen) - room)
            chosen = chosen[:room]
            if not len(chosen):
                return
            self._bytes += row * len(chosen)
            taken = answers[chosen]
            self._waiting.append(
                Requests(
                    np.array([f"{request}-{place}" if len(images) > 1 else request for place in chosen]),
                    np.full(len(chosen), time.time()),
                    images[chosen],
                    taken,
                    np.full(len(chosen), served.version),
                    taken.max(axis=1) < served.reject_below,
                )
            )

    def run(self) -> None:
        """Write what waits, again and again, until the end."""
        while not self._ending.wait(WRITE_SECONDS):
            self.write()
        self.write()

    def end(self) -> None:
        """Let `run` write what waits, and return."""
        self._ending.set()

    def write(self) -> None:
        """Write what waits; say what fails where it did not fail before."""
        with self._lock:
            waiting, self._waiting, self._bytes = self._waiting, deque(), 0
        problem = ""
        for _, group in groupby(waiting, lambda part: (part.images.shape[1:], part.probabilities.shape[1])):
            joined = joined_requests(list(group))
            try:
                write_requests(self._store, self._prefix, joined)
                self.kept += len(joined)
            # Whatever it is, the server answers on.
            except Exception as error:
                problem = first_line(error)
                self._take_back(joined, error)
        if problem and not self.problem:
            say("serve", f"requests are not logged: {problem}")
        self.problem = problem

    def _take_back(self, part: Requests, error: Exception) -> None:
        """Keep for the next attempt what an outage has left and there is room for; drop the rest."""
        age, size = (
            time.time() - float(part.times.min()),
            len(part) * _row_bytes(part.images, part.probabilities),
        )
        with self._lock:
            fits = age + 2 * WRITE_SECONDS < LONGEST_BATCH and self._bytes + size <= MOST_WAITING
            if isinstance(error, UnavailableError) and fits:
                self._waiting.appendleft(part)
                self._bytes += size
            else:
                self.dropped += len(part)


def _require_writable(store: ObjectStore, prefix: str) -> None:
    """Write what the log is beside it: a store that refuses would be found too late by those who read the log.

    The key may be one that can only write here (infra/seaweedfs/identities.json).
    """
    with TemporaryDirectory() as scratch:
        path = Path(scratch, ABOUT_FILE)
        path.write_text(ABOUT, encoding="utf-8")
        store.upload(path, f"{prefix}/{ABOUT_FILE}")


def _row_bytes(images: NDArray[np.uint8], answers: NDArray[np.float32]) -> int:
    return images[:1].nbytes + answers[:1].nbytes + ROW_BYTES


@contextmanager
def logged_requests(uri: str, sample: float) -> Iterator[RequestLogger]:
    """Yield a logger that writes below an address, `s3://bucket/prefix`, until the context ends.

    Raises:
        PipelineError: The address is none, the store refuses, or the sample is no share.
    """
    if not 0 < sample <= 1:
        raise PipelineError(f"--sample must be above 0 and at most 1 but got {sample:g}.")
    store, key = ObjectStore.for_uri(uri)
    prefix = key.rstrip("/")
    try:
        _require_writable(store, prefix)
    except UnavailableError as error:
        say("serve", f"requests are not logged yet: {error}")
    logger = RequestLogger(store, prefix, sample)
    thread = threading.Thread(target=logger.run, daemon=True)
    thread.start()
    try:
        yield logger
    finally:
        logger.end()
        thread.join(END_SECONDS)
        say(
            "serve",
            f"logged {logger.kept:,} images at {store.uri(prefix)}; {logger.chosen - logger.kept:,} more were not",
        )
