from pathlib import Path

import numpy as np
import pytest

from components.common.model.training_record import Epoch, Training
from components.evaluate.evaluation import Evaluation
from components.evaluate.metrics import measure
from components.evaluate.report import scores as figures


def test_accuracies_name_marks_in_sight_and_those_off_the_scale(evaluated: tuple[Evaluation, Path]) -> None:
    metrics = evaluated[0].baseline
    low, high = metrics.accuracy_interval

    (axes,) = figures.accuracies({"baseline": metrics}, {"near": high, "far": low - 5 * (high - low)}).axes

    texts = [text.get_text() for text in axes.texts]
    assert texts == [f"{metrics.accuracy:.4f}", f"near {high:g}"]
    assert "; far " in axes.get_xlabel()


def test_confusion_matrix_shows_every_count(evaluated: tuple[Evaluation, Path]) -> None:
    metrics = evaluated[0].baseline

    (axes,) = figures.confusion_matrix(metrics).axes

    counts = [str(count) for row in metrics.confusion for count in row if count]
    assert [text.get_text() for text in axes.texts] == counts


def test_roc_curves_name_the_three_hardest_classes(evaluated: tuple[Evaluation, Path]) -> None:
    metrics = evaluated[0].baseline
    aucs = {label: curve.auc for label, curve in enumerate(metrics.class_roc) if curve}

    _, corner = figures.roc_curves(metrics).axes

    legend = corner.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        f"class {label}: {aucs[label]:.5f}" for label in sorted(aucs, key=lambda label: aucs[label])[:3]
    ]


def test_roc_curves_do_without_classes_that_have_no_images() -> None:
    metrics = measure(np.array([4, 6], np.uint8), np.eye(10, dtype=np.float32)[[4, 6]])

    whole, _ = figures.roc_curves(metrics).axes

    assert len(whole.get_lines()) == 2 + 1  # and the diagonal


@pytest.mark.parametrize("epochs", [1, 20])
def test_learning_curves_span_the_epochs(epochs: int) -> None:
    history = [Epoch(epoch, 1 / epoch, 0.9, 1 / epoch, 0.9, 1.0) for epoch in range(1, epochs + 1)]
    training = Training("seed", 0, {}, 1, 0.9, 0.1, history, 1.0, 1.0, "w", "bands", "d", {})

    panels = figures.learning_curves({"baseline": training, "tuned": training}).axes

    for axes in panels:
        assert [len(np.asarray(line.get_xdata())) for line in axes.get_lines()] == [epochs] * 4


@pytest.mark.parametrize(("count", "cells"), [(1, 6), (6, 6), (7, 12), (12, 12)])
def test_image_grid_leaves_the_last_row_open(count: int, cells: int) -> None:
    images = np.zeros((count, 28, 28), np.uint8)

    axes = figures.image_grid(images, [str(number) for number in range(count)], columns=6).axes

    assert len(axes) == cells
    assert [len(panel.get_images()) for panel in axes] == [1] * count + [0] * (cells - count)
