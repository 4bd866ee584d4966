"""Requests that arrive while the model is busy, answered as one batch."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pipelines.models.predict import Answerer

# Values of the images of one batch, which bounds how long the next batch waits.
BATCH_VALUES = 2**19


class Batches:
    """The model as many requests ask it at once, first come, first served.

    It answers one batch at a time, in a thread. On two cores this takes fewer seconds than a thread for each request.
    """

    def __init__(self, classifier: "Answerer") -> None:
        self._classifier = classifier
        self._most = max(1, BATCH_VALUES // classifier.spec.pixels)
        self._waiting: deque[tuple[NDArray[np.uint8], asyncio.Future[NDArray[np.float32]]]] = deque()
        # A reference, without which the task could be collected.
        self._work: asyncio.Task[None] | None = None

    async def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the class probabilities, float32 N x classes, of images, uint8 N x height x width x channels."""
        # The parts of a large request take turns with other requests.
        starts = range(0, max(1, len(images)), self._most)
        return np.concatenate([await self._answer(images[start : start + self._most]) for start in starts])

    async def _answer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        future: asyncio.Future[NDArray[np.float32]] = asyncio.get_running_loop().create_future()
        self._waiting.append((images, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer_all())
        return await future

    async def _answer_all(self) -> None:
        while self._waiting:
            parts, futures = self._next()
            try:
                answers = await asyncio.to_thread(self._classifier.probabilities, np.concatenate(parts))
            # Each request tells its client what happened.
            except Exception as error:
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
                continue
            ends = np.cumsum([len(part) for part in parts])
            for future, answer in zip(futures, np.split(answers, ends[:-1]), strict=True):
                # That of a request whose time is over is done.
                if not future.done():
                    future.set_result(answer)

    def _next(self) -> tuple[list[NDArray[np.uint8]], list[asyncio.Future[NDArray[np.float32]]]]:
        """Take the requests that fit into one batch, at least one, from those that wait."""
        parts: list[NDArray[np.uint8]] = []
        futures: list[asyncio.Future[NDArray[np.float32]]] = []
        room = self._most
        while self._waiting and (not parts or len(self._waiting[0][0]) <= room):
            images, future = self._waiting.popleft()
            parts.append(images)
            futures.append(future)
            room -= len(images)
        return parts, futures
