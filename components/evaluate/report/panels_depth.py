"""The report's figures on trust and explanation."""

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split
from components.common.model.classifier import Classifier
from components.evaluate.evaluation import Evaluation
from components.evaluate.explain import convolutions, explain, first_features
from components.evaluate.mistakes import Mistake
from components.evaluate.report import explanations as figures_explain
from components.evaluate.report import scores as figures
from components.evaluate.report import trust as figures_trust
from components.evaluate.report.panel import Panel
from components.evaluate.robustness import mean_robustness

EXPLAINED = 5


def trust_panels(evaluation: Evaluation) -> list[Panel]:
    return [
        precision_recall_panel(evaluation),
        reliability_panel(evaluation),
        coverage_panel(evaluation),
        robustness_panel(evaluation),
    ]


def precision_recall_panel(evaluation: Evaluation) -> Panel:
    curves = [curve for curve in evaluation.candidate_metrics.class_pr if curve]
    mean = float(np.mean([curve.average_precision for curve in curves]))
    return Panel(
        "precision_recall",
        "Precision and recall",
        "One class against the rest, the corner where both are high. The three classes with the least average "
        f"precision are named, the others grey; the mean is {mean:.5f}.",
        f"One-vs-rest precision-recall curves of the ten classes; mean average precision {mean:.5f}.",
        lambda: figures.precision_recall_curves(evaluation.candidate_metrics),
    )


def reliability_panel(evaluation: Evaluation) -> Panel:
    before, after = evaluation.calibration.uncalibrated, evaluation.candidate_metrics.reliability
    return Panel(
        "reliability",
        "Calibration",
        "How often answers of a given probability are right: on the dotted line probabilities are honest. One "
        f"temperature, {evaluation.calibration.temperature:.3f}, fitted on "
        f"{evaluation.calibration.validation_examples:,} validation images, is built into the registered model.",
        f"Reliability diagrams: expected calibration error {before.ece:.4f} as trained, {after.ece:.4f} with "
        f"temperature; negative log likelihood {before.nll:.4f} and {after.nll:.4f}.",
        lambda: figures_trust.reliability_diagram(before, after),
    )


def coverage_panel(evaluation: Evaluation) -> Panel:
    found, errors = evaluation.selective, evaluation.candidate_metrics.errors
    stated = (
        f"at or above {found.threshold:.3f} the model answers {found.accepted:,} test images and makes "
        f"{found.accepted_errors} mistakes"
    )
    return Panel(
        "coverage",
        "Answering only when sure",
        f"Mistakes left when the least sure images are rejected. The threshold was chosen on validation so that "
        f"99.9% of what is accepted there is right; {stated}.",
        f"Coverage against mistakes: {stated}, of {errors} without rejection.",
        lambda: figures_trust.coverage_curve(found, errors),
    )


def robustness_panel(evaluation: Evaluation) -> Panel:
    name: str = evaluation.candidate
    models = {name: (evaluation.profile.robustness, figures.COLOURS[name])}
    if evaluation.champion_profile:
        models["champion"] = (evaluation.champion_profile.robustness, figures.COLOURS["champion"])
    stated = [f"{name} {mean_robustness(curves):.3f}" for name, (curves, _) in models.items()]
    return Panel(
        "robustness",
        "Robustness",
        "Accuracy on up to 1,000 test images that were damaged with rising severity; at this number one point of "
        f"accuracy is noise. Mean over all damages: {', '.join(stated)}.",
        f"Accuracy under shift, rotation, noise, blur and loss of contrast; mean {', '.join(stated)}.",
        lambda: figures_trust.robustness_curves(models),
    )


def explanation_panels(
    classifier: Classifier, split: Split, probabilities: NDArray[np.float32], mistakes: list[Mistake]
) -> list[Panel]:
    """Explain hits and the worst mistakes; a model without a convolution has neither Grad-CAM nor feature maps."""
    if not convolutions(classifier):
        return []
    predicted = probabilities.argmax(axis=1)
    hits = np.flatnonzero(predicted == split.labels)[:EXPLAINED]
    rows = [*hits, *(mistake.index for mistake in mistakes[:EXPLAINED])]
    explanation = explain(classifier, split.images[rows])
    captions = [
        str(truth) if truth == guess else f"{truth} \N{RIGHTWARDS ARROW} {guess}"
        for truth, guess in zip(split.labels[rows], predicted[rows], strict=True)
    ]
    maps = first_features(classifier, split.images[0])
    return [
        Panel(
            "explanations",
            "What the candidate looks at",
            "Hits on the left, the most confident mistakes (true class \N{RIGHTWARDS ARROW} predicted) on the right. "
            "Grad-CAM (HiResCAM) colours where the last features speak for the predicted class; saliency (SmoothGrad) "
            "shows the pixels to which that class's score reacts most.",
            f"Grad-CAM and saliency maps of {len(hits)} hits and {len(rows) - len(hits)} mistakes: "
            f"{', '.join(captions)}.",
            lambda: figures_explain.explanation_grid(explanation, captions),
        ),
        Panel(
            "feature_maps",
            "First-layer features",
            "The first test image, and what each filter of the first convolution makes of it before its activation: "
            "above zero orange, below violet.",
            f"{len(maps)} feature maps of the first convolution for an image of a {split.labels[0]}.",
            lambda: figures_explain.feature_maps(split.images[0], maps),
        ),
    ]
