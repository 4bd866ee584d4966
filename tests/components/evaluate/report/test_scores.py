from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.common.model.training_record import Epoch
from components.evaluate.report import scores
from components.evaluate.report.panel import ReportData
from components.evaluate.result import DatasetReference
from tests.records import training_record


def _changed(data: ReportData, **changes: Any) -> ReportData:
    return replace(data, evaluation=data.evaluation.model_copy(update=changes))


def test_accuracies_name_marks_in_sight_and_those_off_the_scale(data: ReportData) -> None:
    metrics = replace(data.evaluation.baseline, accuracy=0.51, accuracy_interval=(0.5, 0.52))
    changed = _changed(
        data,
        dataset=DatasetReference("mnist", "d"),
        baseline=metrics,
        tuned=metrics,
        champion=None,
        min_accuracy=0.52,
    )

    (axes,) = scores.accuracy(changed).draw().axes

    assert [text.get_text() for text in axes.texts] == ["0.5100", "0.5100", "minimum 0.52"]
    assert "; tutorial 0.9926 is off the scale" in axes.get_xlabel()


def test_the_tutorials_accuracy_is_named_for_mnist_only(data: ReportData) -> None:
    (axes,) = scores.accuracy(data).draw().axes

    assert not any("tutorial" in text.get_text() for text in axes.texts)
    assert "tutorial" not in axes.get_xlabel()


@pytest.mark.parametrize("epochs", [1, 20])
def test_learning_curves_span_the_epochs(data: ReportData, epochs: int) -> None:
    history = [Epoch(epoch, 1 / epoch, 0.9, 1 / epoch, 0.9, 1.0) for epoch in range(1, epochs + 1)]
    baseline = training_record(history=history)
    tuned = baseline.model_copy(update={"weights_digest": "v"})

    panels = scores.learning_curves(replace(data, baseline=baseline, tuned=tuned)).draw().axes

    for axes in panels:
        assert [len(np.asarray(line.get_xdata())) for line in axes.get_lines()] == [epochs] * 4
