"""The data that figures of the report show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.figures import drawn_names
from components.common.model.classifier import Classifier
from components.common.model.training_record import Training
from components.evaluate.mistakes import Mistake, most_confident_mistakes
from components.evaluate.result import Evaluation


@dataclass(frozen=True, eq=False, kw_only=True)
class ReportData:
    """The data that figures and tables may show.

    Attributes:
        evaluation: The results.
        baseline: Training record of the baseline.
        tuned: Training record of the tuned model.
        split: Test split, N images.
        probabilities: The candidate's class probabilities, N x classes.
        classifier: The calibrated candidate.
    """

    evaluation: Evaluation
    baseline: Training
    tuned: Training
    split: Split
    probabilities: NDArray[np.float32]
    classifier: Classifier

    @property
    def candidate_training(self) -> Training:
        return self.tuned if self.evaluation.candidate == "tuned" else self.baseline

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return self.evaluation.spec.classes

    def titles(self) -> list[str]:
        """Return the classes' names as figures write them beside other text: "class 3", but "ankle boot"."""
        return [name if len(name) > 3 else f"class {name}" for name in drawn_names(self.evaluation.spec, 24)]

    @property
    def mistakes(self) -> list[Mistake]:
        """The candidate's most confident mistakes, at most 12."""
        return most_confident_mistakes(self.split.labels, self.probabilities)
