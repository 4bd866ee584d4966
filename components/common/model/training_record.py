"""Record of a training: training.json beside model.keras, repeats with other seeds below."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from components.common.data.info import DatasetInfo
from components.common.errors import PipelineError
from components.common.record import Record

if TYPE_CHECKING:
    from keras import Model

MODEL_FILE = "model.keras"
REPEATS = "repeats"


@dataclass(frozen=True)
class Epoch:
    """One scoring of a training.

    Attributes:
        epoch: Passes over the training split so far.
        loss: Mean loss per training image since the scoring before.
        accuracy: Fraction of right answers on these images.
        val_loss: Mean cross-entropy per validation image.
        val_accuracy: Fraction of right answers on the validation split.
        seconds: Training time since the scoring before.
    """

    epoch: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


class Training(Record):
    """The record of one training, with the description of the data that it was trained on.

    Attributes:
        runtime: Threads, number format and versions, which decide the very bits.
        weights_digest: SHA-256 of the weights; equal models have equal ones.
        provenance: Commit, image and digests of the code that trained.
        environment: Tags that describe machine, threads and packages.
    """

    FILE: ClassVar[str] = "training.json"

    recipe: str
    seed: int
    config: dict[str, Any]
    parameters: int
    validation_accuracy: float
    validation_loss: float
    history: list[Epoch]
    seconds: float
    images_per_second: float
    weights_digest: str
    dataset: DatasetInfo
    runtime: dict[str, str]
    provenance: dict[str, str]
    environment: dict[str, str]


def weights_digest(model: "Model") -> str:
    """Return the SHA-256 of the weights' shapes, types and bytes, in the model's order."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def require_trained(model: "Model", directory: Path) -> None:
    """Check that a model has the weights that the record beside it names.

    Raises:
        PipelineError: It has not.
    """
    recorded, found = Training.load(directory).weights_digest, weights_digest(model)
    if found != recorded:
        raise PipelineError(
            f"{directory / MODEL_FILE} must have the weights {recorded} that {Training.FILE} records but has {found}: "
            "run the step that writes it again."
        )


def repeat_directory(model: Path, seed: int) -> Path:
    return model / REPEATS / str(seed)


def repeats(model: Path) -> list[Path]:
    """Return the model directories of the same training with other seeds, in the order of the seeds."""
    return sorted((model / REPEATS).glob("*"), key=lambda path: int(path.name))
