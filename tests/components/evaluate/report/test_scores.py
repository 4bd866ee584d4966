from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.common.model.training_record import Epoch, Training
from components.evaluate.evaluation import DatasetReference
from components.evaluate.metrics import measure_predictions
from components.evaluate.report import scores
from components.evaluate.report.panel import ReportData


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


def test_confusion_matrix_shows_every_count(data: ReportData) -> None:
    (axes,) = scores.confusion_matrix(data).draw().axes

    confusion = data.evaluation.candidate_metrics.confusion
    counts = [str(count) for row in confusion for count in row if count]
    assert [text.get_text() for text in axes.texts] == counts


def test_roc_curves_name_the_three_hardest_classes(data: ReportData) -> None:
    curves = data.evaluation.candidate_metrics.class_roc
    aucs = {label: curve.auc for label, curve in enumerate(curves) if curve}

    _, corner = scores.roc(data).draw().axes

    legend = corner.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        f"class {label}: {aucs[label]:.5f}" for label in sorted(aucs, key=lambda label: aucs[label])[:3]
    ]


def test_roc_curves_do_without_classes_that_have_no_images(data: ReportData) -> None:
    metrics = measure_predictions(np.array([4, 6], np.uint8), np.eye(10, dtype=np.float32)[[4, 6]])

    whole, _ = scores.roc(_changed(data, tuned=metrics)).draw().axes

    assert len(whole.get_lines()) == 2 + 1  # and the diagonal


@pytest.mark.parametrize("epochs", [1, 20])
def test_learning_curves_span_the_epochs(data: ReportData, epochs: int) -> None:
    history = [Epoch(epoch, 1 / epoch, 0.9, 1 / epoch, 0.9, 1.0) for epoch in range(1, epochs + 1)]
    baseline = Training("seed", 0, {}, 1, 0.9, 0.1, history, 1.0, 1.0, "w", "bands", "d", {})
    tuned = replace(baseline, weights_digest="v")

    panels = scores.learning_curves(replace(data, baseline=baseline, tuned=tuned)).draw().axes

    for axes in panels:
        assert [len(np.asarray(line.get_xdata())) for line in axes.get_lines()] == [epochs] * 4
