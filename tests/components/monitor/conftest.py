"""Handwritten digits, a reference of some of them, and requests that ask about others."""

import time
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.data.request_log import Requests
from components.common.data.spec import MNIST_SPEC
from components.common.model.reference import Reference, make_reference
from components.ingest.digits import digits_form

REJECT_BELOW = 0.9


@dataclass(frozen=True, eq=False)
class Watched:
    """A model of digits with its reference, and 800 digits that neither has seen."""

    prototypes: NDArray[np.float32]
    reference: Reference
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Answer with the class of the nearest mean image."""
        flat = images.reshape(len(images), -1) / np.float32(255)
        distances = ((flat[:, None] - self.prototypes) ** 2).sum(axis=2)
        likelihoods = np.exp(distances.min(axis=1, keepdims=True) - distances)
        answers: NDArray[np.float32] = (likelihoods / likelihoods.sum(axis=1, keepdims=True)).astype(
            np.float32
        )
        return answers

    def requests(self, images: NDArray[np.uint8], version: str = "1", times: float | None = None) -> Requests:
        """Return requests as a server of the model logs them, all of one time, by default now."""
        probabilities = self.answers(images)
        return Requests(
            ids=np.array([f"request-{row}" for row in range(len(images))]),
            times=np.full(len(images), time.time() if times is None else times),
            images=images,
            probabilities=probabilities,
            versions=np.full(len(images), version),
            rejected=probabilities.max(axis=1) < REJECT_BELOW,
        )


@pytest.fixture(scope="session")
def watched() -> Watched:
    images, labels = next(digits_form().parts["train"].chunks())
    rows = np.random.default_rng(0).permutation(len(images))
    images, labels = images[rows][..., None], labels[rows]
    seen = images[:600].reshape(600, -1) / np.float32(255)
    prototypes = np.stack([seen[labels[:600] == label].mean(axis=0) for label in np.unique(labels)])
    bare = Watched(prototypes, None, images[600:], labels[600:])  # type: ignore[arg-type]  # made below
    validation = Split(images[300:600], labels[300:600].astype(np.uint8), MNIST_SPEC)
    reference = make_reference(images[:300], validation, bare.answers, REJECT_BELOW)
    return Watched(prototypes, reference, images[600:], labels[600:])
