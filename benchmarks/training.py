"""One training, and the test accuracy of finished ones: each is called in a process of its own."""

from pathlib import Path
from typing import Any


def train_once(development: str, recipe: str, changes: dict[str, Any], target: str) -> dict[str, Any]:
    """Train the recipe with `changes` as the train step does, and return what the record of the training says."""
    from components.common.plan.training import RECIPES
    from components.train.fit import fit_model

    config = RECIPES[recipe].differing(**changes)
    training = fit_model(
        Path(development), config, recipe=recipe, target=Path(target), on_epoch=lambda _: None
    )
    return {"seconds": training.seconds, "validation_accuracy": training.validation_accuracy}


def test_accuracies(test: str, models: list[str]) -> dict[str, Any]:
    """Read the test split once per model; "ensemble" is the accuracy of the models' mean probabilities."""
    import numpy as np

    from components.common.data.dataset import open_split
    from components.common.model.classifier import Classifier

    split = open_split(Path(test), "test")
    answers = [Classifier(Path(model)).probabilities(split.images) for model in models]

    def accuracy(probabilities: Any) -> float:
        return float(np.mean(probabilities.argmax(axis=1) == split.labels))

    return {"each": [accuracy(answer) for answer in answers], "ensemble": accuracy(np.mean(answers, axis=0))}
