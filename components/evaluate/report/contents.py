"""The report's figures, each with its caption and with words for who cannot see it."""

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.model.classifier import Classifier
from components.common.model.training_record import Training
from components.evaluate.evaluation import Evaluation
from components.evaluate.metrics import Metrics
from components.evaluate.mistakes import Mistake, most_confident_mistakes
from components.evaluate.report import scores as figures
from components.evaluate.report.panel import Panel
from components.evaluate.report.panels_depth import explanation_panels, trust_panels

TUTORIAL_ACCURACY = 0.9926


def report_panels(
    evaluation: Evaluation,
    baseline: Training,
    tuned: Training,
    split: Split,
    probabilities: NDArray[np.float32],
    classifier: Classifier,
) -> list[Panel]:
    """List the figures; `probabilities` and `classifier` are the candidate's."""
    candidate = evaluation.candidate_metrics
    mistakes = most_confident_mistakes(split.labels, probabilities)
    return [
        accuracy_panel(evaluation),
        confusion_panel(candidate),
        *([mistakes_panel(split, mistakes)] if mistakes else []),
        *explanation_panels(classifier, split, probabilities, mistakes),
        roc_panel(candidate),
        *trust_panels(evaluation),
        learning_panel(baseline, tuned),
        predictions_panel(split, probabilities[:6].argmax(axis=1).tolist()),
    ]


def accuracy_panel(evaluation: Evaluation) -> Panel:
    models = {"baseline": evaluation.baseline, "tuned": evaluation.tuned}
    if evaluation.champion:
        models["champion"] = evaluation.champion.metrics
    marks = {"minimum": evaluation.min_accuracy}
    if evaluation.dataset.name == "mnist":
        marks["tutorial"] = TUTORIAL_ACCURACY
    stated = [f"{name} {metrics.accuracy:.4f}, {_interval(metrics)}" for name, metrics in models.items()]
    return Panel(
        "accuracy",
        "Accuracy",
        "Test accuracy and its 95% Wilson interval. Intervals that overlap do not settle which model is "
        "better; the paired comparison below does.",
        f"Test accuracies with 95% intervals: {'; '.join(stated)}; minimum {evaluation.min_accuracy:g}.",
        lambda: figures.accuracies(models, marks),
    )


def _interval(metrics: Metrics) -> str:
    low, high = metrics.accuracy_interval
    return f"{low:.4f} to {high:.4f}"


def confusion_panel(metrics: Metrics) -> Panel:
    mistakes = np.array(metrics.confusion) * ~np.eye(10, dtype=bool)
    truth, predicted = np.unravel_index(mistakes.argmax(), mistakes.shape)
    worst = (
        f"The most frequent mistake: {truth} taken for {predicted}, count {mistakes.max()}."
        if metrics.errors
        else "There is no mistake."
    )
    return Panel(
        "confusion_matrix",
        "Confusion matrix",
        f"Test images by true and predicted class; mistakes are coloured. {worst}",
        f"Confusion matrix of ten classes: {metrics.examples - metrics.errors} of {metrics.examples} images "
        f"lie on the diagonal. {worst}",
        lambda: figures.confusion_matrix(metrics),
    )


def roc_panel(metrics: Metrics) -> Panel:
    return Panel(
        "roc",
        "ROC curves",
        "One class against the rest. The three classes with the smallest area under the curve are named, the "
        f"others grey; the mean area is {metrics.macro_auc:.5f}.",
        f"One-vs-rest ROC curves of the ten classes; macro-averaged area {metrics.macro_auc:.5f}.",
        lambda: figures.roc_curves(metrics),
    )


def learning_panel(baseline: Training, tuned: Training) -> Panel:
    trainings = {"baseline": baseline, "tuned": tuned}
    note = ""
    if baseline.weights_digest == tuned.weights_digest:
        trainings = {"baseline": baseline}
        note = " The tuned model is the baseline: the search found no better configuration."
    ends = [f"{name} {training.validation_accuracy:.4f}" for name, training in trainings.items()]
    return Panel(
        "learning_curves",
        "Learning curves",
        f"Loss and accuracy after each epoch, on the training and the validation split.{note}",
        f"Learning curves; validation accuracy at the end: {', '.join(ends)}.",
        lambda: figures.learning_curves(trainings),
    )


def mistakes_panel(split: Split, mistakes: list[Mistake]) -> Panel:
    captions = [f"{mistake.truth} → {mistake.predicted}  {mistake.confidence:.3f}" for mistake in mistakes]
    stated = [
        f"{mistake.truth} taken for {mistake.predicted} ({mistake.confidence:.3f})" for mistake in mistakes
    ]
    return Panel(
        "mistakes",
        "Most confident mistakes",
        "True class → predicted class, and the probability that the candidate gave to its wrong answer.",
        f"Test images that the candidate gets wrong: {', '.join(stated)}.",
        lambda: figures.image_grid(
            split.images[[mistake.index for mistake in mistakes]], captions, columns=6
        ),
    )


def predictions_panel(split: Split, predicted: list[int]) -> Panel:
    return Panel(
        "predictions",
        "The first six test images",
        "With the class that the candidate predicts, as in the tutorial.",
        "The first test images; "
        + ", ".join(
            f"a {truth} predicted as {guess}" for truth, guess in zip(split.labels, predicted, strict=False)
        ),
        lambda: figures.image_grid(
            split.images[:6], [f"Predicted: {guess}" for guess in predicted], columns=3
        ),
    )
