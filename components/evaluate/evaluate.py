"""Judge a baseline, a tuned model and the champion on one test split: the only reader of that split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.common.dataset import Split, open_split, read_info
from components.common.errors import PipelineError
from components.common.files import written_directory
from components.common.step import say
from components.common.trained_model import Training
from components.evaluate.champion import ChampionModel, ScoredChampion
from components.evaluate.compare import compare
from components.evaluate.evaluation import DatasetReference, Evaluation
from components.evaluate.gate import decide
from components.evaluate.metrics import measure
from components.evaluate.panels import report_panels
from components.evaluate.predictions import predict
from components.evaluate.report import render_html, render_markdown
from components.evaluate.theme import LIGHT, render

EVALUATION_FILE = "evaluation.json"
REPORT_FILE = "report.html"
SUMMARY_FILE = "summary.md"

Probabilities = NDArray[np.float32]


def evaluate(
    test: Path,
    baseline: Path,
    tuned: Path,
    champion: ChampionModel | None,
    target: Path,
    min_accuracy: float,
    lineage: Mapping[str, str],
) -> Evaluation:
    """Evaluate, decide and report.

    Args:
        test: Prepared data with the test split.
        baseline: Model directory.
        tuned: Model directory.
        champion: The model to beat, if there is one.
        target: New or empty directory for evaluation.json, report.html, summary.md and figures/.
        min_accuracy: Test accuracy below which nothing is registered.
        lineage: What produced the models (commit, run), for the report.

    Raises:
        PipelineError: Unreadable data or model, or a minimum accuracy that is no fraction.
    """
    split, info = open_split(test, "test"), read_info(test)
    trainings = Training.load(baseline), Training.load(tuned)
    candidate = choose(*trainings)
    of_baseline = _predict("baseline", baseline, split)
    same = trainings[0].weights_digest == trainings[1].weights_digest
    of_tuned = of_baseline if same else _predict("tuned model", tuned, split)
    of_candidate = of_tuned if candidate == "tuned" else of_baseline
    scored = _score(champion, of_candidate, split) if champion else None
    evaluation = Evaluation(
        dataset=DatasetReference(info.name, info.digest),
        baseline=measure(split.labels, of_baseline),
        tuned=measure(split.labels, of_tuned),
        tuned_against_baseline=compare(split.labels, of_tuned, of_baseline),
        candidate=candidate,
        champion=scored,
        min_accuracy=min_accuracy,
        decision=decide(measure(split.labels, of_candidate), scored, min_accuracy),
        lineage=dict(lineage),
    )
    panels = report_panels(evaluation, *trainings, split, of_candidate)
    with written_directory(target) as partial:
        evaluation.save(partial / EVALUATION_FILE)
        (partial / SUMMARY_FILE).write_text(render_markdown(evaluation))
        (partial / REPORT_FILE).write_text(render_html(evaluation, *trainings, panels))
        (partial / "figures").mkdir()
        for panel in panels:
            (partial / "figures" / f"{panel.name}.png").write_bytes(render(panel.draw, LIGHT, "png"))
    return evaluation


def choose(baseline: Training, tuned: Training) -> Literal["baseline", "tuned"]:
    """Choose the candidate by validation accuracy; the baseline wins a tie."""
    return "tuned" if tuned.validation_accuracy > baseline.validation_accuracy else "baseline"


def _predict(name: str, model: Path, split: Split) -> Probabilities:
    say("evaluate", f"{name} on {len(split.labels)} test images")
    return predict(model, split.images)


def _score(champion: ChampionModel, of_candidate: Probabilities, split: Split) -> ScoredChampion:
    try:
        probabilities = _predict(f"champion {champion.name} v{champion.version}", champion.directory, split)
    except PipelineError as error:
        raise champion.unusable(error) from error
    return ScoredChampion(
        name=champion.name,
        version=champion.version,
        metrics=measure(split.labels, probabilities),
        comparison=compare(split.labels, of_candidate, probabilities),
    )
