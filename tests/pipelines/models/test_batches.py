import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.spec import ImageSpec
from pipelines.models import batches
from pipelines.models.batches import Batches

SPEC = ImageSpec(2, 2, 1, ("a", "b"))


class Model:
    """A model that answers with the first pixel, and waits for leave to answer its first batch."""

    spec = SPEC

    def __init__(self) -> None:
        self.leave, self.sizes = threading.Event(), list[int]()

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.sizes.append(len(images))
        self.leave.wait(30)
        if (images == 99).any():
            raise ValueError("99")
        first = images[:, 0, 0, 0].astype(np.float32)
        return np.stack([first, -first], axis=1)


def _images(*values: int) -> NDArray[np.uint8]:
    return np.array(values, np.uint8).repeat(4).reshape(-1, *SPEC.shape)


def _ask(model: Model, *requests: NDArray[np.uint8]) -> list[Any]:
    async def ask() -> list[Any]:
        asked = Batches(model)
        tasks = [asyncio.create_task(asked.probabilities(images)) for images in requests]
        while not model.sizes:
            await asyncio.sleep(0)
        model.leave.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(ask())


def test_requests_that_arrive_together_are_one_batch_and_get_their_own_answers() -> None:
    model = Model()
    answers = _ask(model, _images(1), _images(2, 3), _images(4), _images())
    assert [answer[:, 0].tolist() for answer in answers] == [[1], [2, 3], [4], []]
    assert model.sizes == [4]


def test_a_large_request_takes_turns_with_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_VALUES", 2 * SPEC.pixels)
    model = Model()
    answers = _ask(model, _images(1, 2, 3, 4, 5), _images(6), _images(7))
    assert [answer[:, 0].tolist() for answer in answers] == [[1, 2, 3, 4, 5], [6], [7]]
    assert max(model.sizes) == 2
    assert len(model.sizes) < 5


def test_an_error_reaches_all_of_its_batch_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_VALUES", 2 * SPEC.pixels)
    first, second, third = _ask(Model(), _images(1), _images(99), _images(2, 3))
    assert str(first) == str(second) == "99"
    assert third[:, 0].tolist() == [2, 3]
