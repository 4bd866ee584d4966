"""Evaluation of baseline, tuned model and champion on one test split; nothing else reads that split."""

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import Split, open_split
from components.common.data.info import DatasetInfo
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.exchange import Exchange
from components.common.model.lineage import stored_judgement
from components.common.model.reference import make_reference
from components.common.model.runtime import RuntimeClassifier
from components.common.model.samples import save_samples
from components.common.model.training_record import MODEL_FILE, REPEATS, Training, require_trained
from components.common.narration import say
from components.common.plan.run import GatePlan
from components.common.report.page import Drawn
from components.common.report.theme import render_figure
from components.common.storage.files import file_digests, written_directory
from components.evaluate.calibration import (
    Calibration,
    apply_temperature,
    fit_temperature,
    measure_reliability,
)
from components.evaluate.champion import ChampionModel, ScoredChampion
from components.evaluate.compare import compare_models
from components.evaluate.exchange import write_exchange
from components.evaluate.gate import decide, required_accuracy
from components.evaluate.metrics import Metrics, measure_predictions
from components.evaluate.profile import Profile, measure_profile
from components.evaluate.report.contents import report_panels
from components.evaluate.report.panel import ReportData
from components.evaluate.report.write import write_evaluation
from components.evaluate.result import DatasetReference, Evaluation
from components.evaluate.seeds import SeedAccuracies, score_seeds
from components.evaluate.selective import measure_selective, reject_threshold

Probabilities = NDArray[np.float32]
Role = Literal["baseline", "tuned"]


@dataclass(frozen=True, kw_only=True)
class EvaluationInputs:
    """Directories that an evaluation reads.

    Attributes:
        test: Prepared data with the test split.
        development: Prepared data with the validation split, on which temperature and reject threshold are fitted, and
            with the training split, whose usual shapes are kept with the candidate.
        baseline: Model directory.
        tuned: Model directory.
    """

    test: Path
    development: Path
    baseline: Path
    tuned: Path


@dataclass(frozen=True, eq=False)
class _Data:
    """Training records and splits that an evaluation reads."""

    baseline: Training
    tuned: Training
    training: Split
    validation: Split
    test: Split
    dataset: DatasetReference

    @property
    def same_weights(self) -> bool:
        return self.baseline.weights_digest == self.tuned.weights_digest


@dataclass(frozen=True, eq=False)
class _ScoredModel:
    """A calibrated model, and its results on the test split.

    Attributes:
        probabilities: N x classes.
        temperature: The temperature that is built into the classifier.
        threshold: Top probability below which an answer should be rejected.
    """

    classifier: Classifier
    probabilities: Probabilities
    metrics: Metrics
    temperature: float
    threshold: float


def judge_models(
    inputs: EvaluationInputs,
    *,
    champion: ChampionModel | None,
    target: Path,
    candidate_target: Path,
    gate: GatePlan,
    lineage: Mapping[str, str],
    run_id: str = "",
) -> Evaluation:
    """Calibrate on validation, evaluate on test, decide and report.

    Args:
        inputs: Data and models.
        champion: The registered model to compare the candidate with, if there is one.
        target: New or empty directory for the files that `write_evaluation` writes.
        candidate_target: New or empty directory for the better model on validation, calibrated, and its ONNX file.
        gate: The conditions for registration.
        lineage: Commit and runs that the models come from, for the report.
        run_id: The pipeline's run, which decides once.

    Raises:
        PipelineError: Unreadable data or model.
    """
    data = _read(inputs)
    models = _score_models(inputs, data)
    name = choose_candidate(data.baseline, data.tuned)
    candidate = models[name]
    seeds = score_seeds(inputs.tuned, models["tuned"].metrics.accuracy, data.test)
    trained = data.tuned if name == "tuned" else data.baseline
    rival = (
        _score_champion(champion, candidate.probabilities, trained, data, gate, run_id) if champion else None
    )
    say("evaluate", "calibration, robustness, cost, explanations")
    report = ReportData(
        evaluation=_evaluation(data, models, name, seeds, rival, gate, lineage),
        baseline=data.baseline,
        tuned=data.tuned,
        split=data.test,
        probabilities=candidate.probabilities,
        classifier=candidate.classifier,
    )
    source = inputs.tuned if name == "tuned" else inputs.baseline
    with written_directory(candidate_target) as partial:
        exchange, drawn = _write_and_draw(source, candidate, data, partial, report)
        files = file_digests(partial)
    evaluation = report.evaluation.model_copy(update={"exchange": exchange})
    with written_directory(target) as partial:
        write_evaluation(partial, replace(report, evaluation=evaluation), drawn, files)
    return evaluation


def _write_and_draw(
    source: Path, candidate: _ScoredModel, data: _Data, target: Path, report: ReportData
) -> tuple[Exchange, list[Drawn]]:
    """Write the candidate beside the drawing of the figures, which takes one core; no latency is measured any more."""
    panels = report_panels(report)
    with ThreadPoolExecutor(1) as beside:
        written = beside.submit(_write_candidate, source, candidate, data, target)
        drawn = [(panel, render_figure(panel.draw)) for panel in panels]
        return written.result(), drawn


def _write_candidate(source: Path, candidate: _ScoredModel, data: _Data, target: Path) -> Exchange:
    """Write the files that are registered: a model's records, with the calibrated model in place of the trained one."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(REPEATS), dirs_exist_ok=True)
    candidate.classifier.model.save(target / MODEL_FILE)
    save_samples(target, data.validation)
    exchange = write_exchange(target, candidate.classifier, data.validation.images)
    if not exchange.problem:
        # Requests are answered by the ONNX file, so the reference's answers are.
        answers = RuntimeClassifier(target).probabilities
        make_reference(data.training.images, data.validation, answers, candidate.threshold).save(target)
    return exchange


def choose_candidate(baseline: Training, tuned: Training) -> Role:
    """Choose the candidate by validation accuracy; if they are equal, the baseline."""
    return "tuned" if tuned.validation_accuracy > baseline.validation_accuracy else "baseline"


def _read(inputs: EvaluationInputs) -> _Data:
    baseline, tuned = Training.load(inputs.baseline), Training.load(inputs.tuned)
    training, validation = (open_split(inputs.development, name) for name in ("train", "validation"))
    test, info = open_split(inputs.test, "test"), DatasetInfo.load(inputs.test)
    return _Data(baseline, tuned, training, validation, test, DatasetReference(info.name, info.digest))


def _score_models(inputs: EvaluationInputs, data: _Data) -> dict[Role, _ScoredModel]:
    """Score baseline and tuned model; only once where they have the same weights."""
    baseline = _score_model("baseline", inputs.baseline, data)
    return {
        "baseline": baseline,
        "tuned": baseline if data.same_weights else _score_model("tuned model", inputs.tuned, data),
    }


def _score_model(name: str, directory: Path, data: _Data) -> _ScoredModel:
    """Fit temperature and reject threshold on validation, then score the calibrated model on the test split."""
    say("evaluate", f"{name} on {len(data.test.labels)} test images")
    classifier = Classifier(directory)
    require_trained(classifier.model, directory)
    on_validation = classifier.probabilities(data.validation.images)
    temperature = fit_temperature(data.validation.labels, on_validation)
    classifier.calibrate(temperature)
    threshold = reject_threshold(data.validation.labels, apply_temperature(on_validation, temperature))
    probabilities = classifier.probabilities(data.test.images)
    metrics = measure_predictions(data.test.labels, probabilities)
    return _ScoredModel(classifier, probabilities, metrics, temperature, threshold)


def _score_champion(
    champion: ChampionModel,
    of_candidate: Probabilities,
    trained: Training,
    data: _Data,
    gate: GatePlan,
    run_id: str,
) -> tuple[ScoredChampion, Profile]:
    """Score the champion on the test split, and compare the candidate's probabilities with the champion's."""
    split = data.test
    say("evaluate", f"champion {champion.name} v{champion.version} on {len(split.labels)} test images")
    try:
        classifier = Classifier(champion.directory)
        judgement = stored_judgement(champion.directory)
    except PipelineError as error:
        raise champion.unusable(error) from error
    champion.require_comparable(classifier.spec, split.spec)
    try:
        probabilities = classifier.probabilities(split.images)
    except PipelineError as error:
        raise champion.unusable(error) from error
    scored = ScoredChampion(
        name=champion.name,
        version=champion.version,
        metrics=measure_predictions(split.labels, probabilities),
        comparison=compare_models(split.labels, of_candidate, probabilities, gate.margin),
        other_test_data=judgement is not None and judgement.test_digest != data.dataset.digest,
        identical=judgement is not None and judgement.training.weights_digest == trained.weights_digest,
        decision=champion.decisions.number(data.dataset.digest, run_id),
    )
    return scored, measure_profile(classifier, split)


def _evaluation(
    data: _Data,
    models: Mapping[Role, _ScoredModel],
    name: Role,
    seeds: SeedAccuracies | None,
    rival: tuple[ScoredChampion, Profile] | None,
    gate: GatePlan,
    lineage: Mapping[str, str],
) -> Evaluation:
    """Put the results together, all but those of the ONNX file, and decide."""
    labels, candidate, baseline, tuned = data.test.labels, models[name], models["baseline"], models["tuned"]
    champion, champion_profile = rival or (None, None)
    required, origin = required_accuracy(gate.min_accuracy, data.test)
    uncalibrated = apply_temperature(candidate.probabilities, 1 / candidate.temperature)
    return Evaluation(
        dataset=data.dataset,
        spec=data.test.spec,
        baseline=baseline.metrics,
        tuned=tuned.metrics,
        tuned_against_baseline=compare_models(
            labels, tuned.probabilities, baseline.probabilities, gate.margin
        ),
        baseline_seeds=seeds if data.same_weights else None,
        tuned_seeds=seeds,
        candidate=name,
        kept=data.same_weights,
        champion=champion,
        calibration=Calibration(
            candidate.temperature, len(data.validation.labels), measure_reliability(labels, uncalibrated)
        ),
        selective=measure_selective(labels, candidate.probabilities, candidate.threshold),
        profile=measure_profile(candidate.classifier, data.test),
        champion_profile=champion_profile,
        exchange=Exchange(problem="its ONNX file is not written yet"),
        min_accuracy=required,
        decision=decide(candidate.metrics, champion, required, origin, gate.promote),
        lineage=dict(lineage),
    )
