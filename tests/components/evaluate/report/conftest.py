"""The data of a report, as figures take it."""

from pathlib import Path

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.model.classifier import Classifier
from components.common.model.training_record import Training
from components.evaluate.report.panel import ReportData
from components.evaluate.result import Evaluation


@pytest.fixture
def data(evaluated: tuple[Evaluation, Path], split: Split) -> ReportData:
    """Data of an evaluation of two linear models; the candidate's answers are those for `split`."""
    evaluation, target = evaluated
    directory = target.with_name("candidate")
    classifier, training = Classifier(directory), Training.load(directory)
    return ReportData(
        evaluation=evaluation,
        baseline=training,
        tuned=training,
        split=split,
        probabilities=np.asarray(classifier.probabilities(split.images)),
        classifier=classifier,
    )
