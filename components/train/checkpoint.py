"""The state of a training after its last finished epoch, kept on disk until the training ends."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.trained_model import Epoch

if TYPE_CHECKING:
    import keras


class Checkpoint:
    """A directory that holds weights, optimizer and random state of one training.

    `progress.json` is written last and names the state that belongs to it, so that a crash between the two leaves
    the previous checkpoint valid.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._progress = directory / "progress.json"

    def save(self, model: "keras.Model", history: list[Epoch]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        state = self._directory / f"epoch-{len(history)}.npz"
        np.savez(state, *(variable.numpy() for variable in _variables(model)))
        written = self._progress.with_suffix(".new")
        written.write_text(json.dumps({"state": state.name, "history": [asdict(epoch) for epoch in history]}))
        written.replace(self._progress)
        for file in self._directory.glob("*.npz"):
            if file != state:
                file.unlink()

    def restore(self, model: "keras.Model") -> list[Epoch]:
        """Load the saved state into a freshly compiled model; return the finished epochs, none without a save."""
        if not self._progress.exists():
            return []
        progress = json.loads(self._progress.read_text())
        model.optimizer.build(model.trainable_variables)
        with np.load(self._directory / progress["state"]) as arrays:
            for variable, array in zip(_variables(model), arrays.values(), strict=True):
                variable.assign(array)
        return [Epoch(**epoch) for epoch in progress["history"]]

    def delete(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


def _variables(model: "keras.Model") -> list[Any]:
    # Not Keras's own weights file: it leaves out the random state of dropout.
    return [*model.variables, *model.optimizer.variables]
