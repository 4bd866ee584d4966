from dataclasses import replace

import numpy as np

from components.evaluate.metrics import measure_predictions
from components.evaluate.report import classes
from components.evaluate.report.panel import ReportData


def test_confusion_matrix_shows_every_count(data: ReportData) -> None:
    (axes,) = classes.confusion_matrix(data).draw().axes

    confusion = data.evaluation.candidate_metrics.confusion
    counts = [str(count) for row in confusion for count in row if count]
    assert [text.get_text() for text in axes.texts] == counts


def test_roc_curves_name_the_three_hardest_classes(data: ReportData) -> None:
    curves = data.evaluation.candidate_metrics.class_roc
    aucs = {label: curve.auc for label, curve in enumerate(curves) if curve}

    _, corner = classes.roc(data).draw().axes

    legend = corner.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        f"class {label}: {aucs[label]:.5f}" for label in sorted(aucs, key=lambda label: aucs[label])[:3]
    ]


def test_roc_curves_do_without_classes_that_have_no_images(data: ReportData) -> None:
    metrics = measure_predictions(np.array([4, 6], np.uint8), np.eye(10, dtype=np.float32)[[4, 6]])
    evaluation = data.evaluation.model_copy(update={"tuned": metrics})

    whole, _ = classes.roc(replace(data, evaluation=evaluation)).draw().axes

    assert len(whole.get_lines()) == 2 + 1  # and the diagonal
