"""What training hands over: a directory with `model.keras` and `training.json`, repeats with other seeds below it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.common.storage.files import read_json

MODEL_FILE = "model.keras"
TRAINING_FILE = "training.json"
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


@dataclass(frozen=True)
class Training:
    """The record of one training.

    Attributes:
        runtime: What of the machine decides the very bits: threads, number format, versions.
        weights_digest: Tells equal models apart from similar ones.
    """

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
    dataset_name: str
    dataset_digest: str
    runtime: dict[str, str]

    @classmethod
    def load(cls, model: Path) -> "Training":
        """Read it from a model directory."""
        return read_json(model / TRAINING_FILE, cls)

    def save(self, model: Path) -> None:
        (model / TRAINING_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n")


def repeat_directory(model: Path, seed: int) -> Path:
    return model / REPEATS / str(seed)


def repeats(model: Path) -> list[Path]:
    """Return the model directories of the same training with other seeds, in the order of the seeds."""
    return sorted((model / REPEATS).glob("*"), key=lambda path: int(path.name))
