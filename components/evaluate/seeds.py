"""Accuracies of one configuration over several seeds."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.common.data.dataset import Split
from components.common.model.classifier import Classifier
from components.common.model.training_record import Training, repeats, require_trained
from components.common.narration import say


@dataclass(frozen=True)
class SeedAccuracies:
    """Accuracies of the same training with two or more seeds; the evaluated model comes first."""

    seeds: list[int]
    validation: list[float]
    test: list[float]

    def headline(self) -> dict[str, float]:
        """Return means and sample standard deviations by name."""
        return {
            f"{split}_accuracy_{name}": value
            for split, accuracies in (("validation", self.validation), ("test", self.test))
            for name, value in (
                ("mean", statistics.fmean(accuracies)),
                ("std", statistics.stdev(accuracies)),
            )
        } | {"seeds": float(len(self.seeds))}

    def stated(self, split: str) -> str:
        """Return mean and standard deviation on the split, "test" or "validation", as text."""
        found = self.headline()
        mean, deviation = found[f"{split}_accuracy_mean"], found[f"{split}_accuracy_std"]
        return f"{mean:.4f} \N{PLUS-MINUS SIGN} {deviation:.4f}"


def score_seeds(model: Path, accuracy: float, split: Split) -> SeedAccuracies | None:
    """Score the repeats in the model directory on the test split; None where it was trained with one seed only.

    Args:
        model: Model directory, as training wrote it.
        accuracy: Test accuracy of the model itself.
        split: The test split.
    """
    directories = repeats(model)
    if not directories:
        return None
    trainings = [Training.load(directory) for directory in (model, *directories)]
    say("evaluate", f"{len(directories)} trainings with other seeds on {len(split.labels)} test images")
    return SeedAccuracies(
        [training.seed for training in trainings],
        [training.validation_accuracy for training in trainings],
        [accuracy, *(_accuracy(directory, split) for directory in directories)],
    )


def _accuracy(model: Path, split: Split) -> float:
    """Return the accuracy as trained; calibration would not change it."""
    classifier = Classifier(model)
    require_trained(classifier.model, model)
    return float(np.mean(classifier.probabilities(split.images).argmax(axis=1) == split.labels))
