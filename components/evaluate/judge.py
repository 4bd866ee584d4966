"""Judge a baseline, a tuned model and the champion on one test split: the only reader of that split."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split, open_split, read_info
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.training_record import MODEL_FILE, REPEATS, Training
from components.common.narration import say
from components.common.storage.files import written_directory
from components.evaluate.calibration import Calibration, fit_temperature, reliability, temper
from components.evaluate.champion import ChampionModel, ScoredChampion
from components.evaluate.compare import compare
from components.evaluate.evaluation import DatasetReference, Evaluation
from components.evaluate.gate import check_min_accuracy, decide
from components.evaluate.metrics import Metrics, measure
from components.evaluate.profile import profile
from components.evaluate.report.contents import report_panels
from components.evaluate.report.write import write_evaluation
from components.evaluate.seeds import seed_accuracies
from components.evaluate.selective import reject_threshold, selective

Probabilities = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Judged:
    """A model with its calibration built in, and what it says of the test images."""

    classifier: Classifier
    probabilities: Probabilities
    metrics: Metrics
    temperature: float
    threshold: float


def evaluate(
    test: Path,
    development: Path,
    baseline: Path,
    tuned: Path,
    champion: ChampionModel | None,
    target: Path,
    candidate_target: Path,
    min_accuracy: float,
    lineage: Mapping[str, str],
) -> Evaluation:
    """Calibrate on validation, evaluate on test, decide and report.

    Args:
        test: Prepared data with the test split.
        development: Prepared data with the validation split, on which temperature and reject threshold are fitted.
        baseline: Model directory.
        tuned: Model directory.
        champion: The model to beat, if there is one.
        target: New or empty directory for evaluation.json, report.html, summary.md, model_card.md, figures/, tables/.
        candidate_target: New or empty directory for the better model on validation, calibrated.
        min_accuracy: Test accuracy below which nothing is registered.
        lineage: What produced the models (commit, run), for the report.

    Raises:
        PipelineError: Unreadable data or model, or a minimum accuracy that is no fraction.
    """
    check_min_accuracy(min_accuracy)
    trainings = Training.load(baseline), Training.load(tuned)
    name = choose(*trainings)
    validation = open_split(development, "validation")
    split, info = open_split(test, "test"), read_info(test)
    of_baseline = _judge("baseline", baseline, validation, split)
    same = trainings[0].weights_digest == trainings[1].weights_digest
    of_tuned = of_baseline if same else _judge("tuned model", tuned, validation, split)
    seeds = seed_accuracies(tuned, of_tuned.metrics.accuracy, split)
    candidate = of_tuned if name == "tuned" else of_baseline
    rival = _open_champion(champion) if champion else None
    scored = _score(champion, rival, candidate.probabilities, split) if champion and rival else None
    say("evaluate", "calibration, robustness, cost, explanations")
    evaluation = Evaluation(
        dataset=DatasetReference(info.name, info.digest),
        baseline=of_baseline.metrics,
        tuned=of_tuned.metrics,
        tuned_against_baseline=compare(split.labels, of_tuned.probabilities, of_baseline.probabilities),
        baseline_seeds=seeds if same else None,
        tuned_seeds=seeds,
        candidate=name,
        champion=scored,
        calibration=_calibration(candidate, validation, split),
        selective=selective(split.labels, candidate.probabilities, candidate.threshold),
        profile=profile(candidate.classifier, split),
        champion_profile=profile(rival, split) if rival else None,
        min_accuracy=min_accuracy,
        decision=decide(candidate.metrics, scored, min_accuracy),
        lineage=dict(lineage),
    )
    panels = report_panels(evaluation, *trainings, split, candidate.probabilities, candidate.classifier)
    with written_directory(target) as partial:
        write_evaluation(partial, evaluation, *trainings, panels)
    with written_directory(candidate_target) as partial:
        source = tuned if name == "tuned" else baseline
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns(REPEATS), dirs_exist_ok=True)
        candidate.classifier.model.save(partial / MODEL_FILE)
    return evaluation


def choose(baseline: Training, tuned: Training) -> Literal["baseline", "tuned"]:
    """Choose the candidate by validation accuracy; the baseline wins a tie."""
    return "tuned" if tuned.validation_accuracy > baseline.validation_accuracy else "baseline"


def _judge(name: str, directory: Path, validation: Split, split: Split) -> _Judged:
    """Fit temperature and reject threshold on validation; the test images see the calibrated model only."""
    say("evaluate", f"{name} on {len(split.labels)} test images")
    classifier = Classifier(directory)
    of_validation = classifier.probabilities(validation.images)
    temperature = fit_temperature(validation.labels, of_validation)
    classifier.calibrate(temperature)
    threshold = reject_threshold(validation.labels, temper(of_validation, temperature))
    probabilities = classifier.probabilities(split.images)
    return _Judged(classifier, probabilities, measure(split.labels, probabilities), temperature, threshold)


def _calibration(candidate: _Judged, validation: Split, split: Split) -> Calibration:
    uncalibrated = temper(candidate.probabilities, 1 / candidate.temperature)
    return Calibration(candidate.temperature, len(validation.labels), reliability(split.labels, uncalibrated))


def _open_champion(champion: ChampionModel) -> Classifier:
    try:
        return Classifier(champion.directory)
    except PipelineError as error:
        raise champion.unusable(error) from error


def _score(
    champion: ChampionModel, classifier: Classifier, of_candidate: Probabilities, split: Split
) -> ScoredChampion:
    say("evaluate", f"champion {champion.name} v{champion.version} on {len(split.labels)} test images")
    try:
        probabilities = classifier.probabilities(split.images)
    except PipelineError as error:
        raise champion.unusable(error) from error
    return ScoredChampion(
        name=champion.name,
        version=champion.version,
        metrics=measure(split.labels, probabilities),
        comparison=compare(split.labels, of_candidate, probabilities),
    )
