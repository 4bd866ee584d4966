from dataclasses import replace

import numpy as np
import pytest

from components.common.data.spec import ImageSpec
from components.common.report.panel import Panel
from components.evaluate.metrics import measure_predictions
from components.evaluate.report import classes
from components.evaluate.report.panel import ReportData


def _roc(data: ReportData) -> Panel:
    panel = classes.roc(data)
    assert panel is not None
    return panel


def test_confusion_matrix_shows_every_count(data: ReportData) -> None:
    (axes,) = classes.confusion_matrix(data).draw().axes

    confusion = data.evaluation.candidate_metrics.confusion_matrix(range(10))
    counts = [str(count) for row in confusion for count in row if count]
    assert [text.get_text() for text in axes.texts] == counts


def test_roc_curves_name_the_three_hardest_classes(data: ReportData) -> None:
    curves = data.evaluation.candidate_metrics.class_roc
    aucs = {label: curve.auc for label, curve in enumerate(curves) if curve}

    _, corner = _roc(data).draw().axes

    legend = corner.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        f"class {label}: {aucs[label]:.5f}" for label in sorted(aucs, key=lambda label: aucs[label])[:3]
    ]


def test_roc_curves_do_without_classes_that_have_no_images(data: ReportData) -> None:
    metrics = measure_predictions(np.array([4, 6], np.uint8), np.eye(10, dtype=np.float32)[[4, 6]])
    evaluation = data.evaluation.model_copy(update={"tuned": metrics})

    whole, _ = _roc(replace(data, evaluation=evaluation)).draw().axes

    assert len(whole.get_lines()) == 2 + 1  # and the diagonal


def test_a_test_split_of_one_class_has_no_curves(data: ReportData) -> None:
    metrics = measure_predictions(np.array([4, 4], np.uint8), np.eye(10, dtype=np.float32)[[4, 6]])
    changed = replace(data, evaluation=data.evaluation.model_copy(update={"tuned": metrics}))

    assert (classes.roc(changed), classes.precision_recall(changed)) == (None, None)
    assert "of 2 images lie on the diagonal" in classes.confusion_matrix(changed).alt


def _of_classes(data: ReportData, names: tuple[str, ...]) -> ReportData:
    """The data of a model that takes every class for the next one in a tenth of the images."""
    size = len(names)
    labels = np.arange(20 * size) % size
    answers = np.where(np.arange(20 * size) < 2 * size, (labels + 1) % size, labels)
    metrics = measure_predictions(labels, np.eye(size, dtype=np.float32)[answers])
    spec = ImageSpec(28, 28, 1, names)
    return replace(data, evaluation=data.evaluation.model_copy(update={"tuned": metrics, "spec": spec}))


@pytest.mark.parametrize(("size", "shown", "ticks"), [(26, 26, 26), (100, 100, 50), (300, 100, 50)])
def test_many_classes_are_mapped_by_colour(data: ReportData, size: int, shown: int, ticks: int) -> None:
    panel = classes.confusion_matrix(_of_classes(data, tuple(f"kind {n}" for n in range(size))))
    axes = panel.draw().axes[0]

    diagonal, mistakes = (np.ma.getmaskarray(np.ma.asarray(image.get_array())) for image in axes.get_images())
    assert diagonal.shape == (shown, shown)
    assert (diagonal == ~np.eye(shown, dtype=bool)).all()
    assert (~mistakes).sum() in {shown, shown - 1}
    assert not axes.texts
    assert len(axes.get_xticklabels()) == ticks
    assert axes.get_yticklabels()[1].get_text() == f"kind {shown // ticks}"
    assert panel.caption.startswith("The 100 of 300 classes") == (size == 300)


def test_two_classes_need_no_grey_curves(data: ReportData) -> None:
    two = _of_classes(data, ("benign", "malignant"))

    assert "named, the others grey" not in _roc(two).caption
    assert "named, the others grey" in _roc(data).caption
    legend = _roc(two).draw().axes[1].get_legend()
    assert legend is not None
    assert {text.get_text().split(":")[0] for text in legend.get_texts()} == {"benign", "malignant"}
