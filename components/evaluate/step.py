"""The `evaluate` step and its gate, tracked."""

import json
import tempfile
from pathlib import Path

from components.common.model.judgement import Judgement
from components.common.model.kept_candidate import keep_candidate
from components.common.model.training_record import Training
from components.common.narration import say
from components.common.patience import patiently
from components.common.plan.run import RunPlan
from components.common.provenance import git_sha
from components.common.tracking import tags
from components.common.tracking.client import mlflow_must_answer
from components.common.tracking.run import TrackedRun
from components.common.tracking.step import step_run
from components.evaluate.champion import decisions_tag, fetch_champion
from components.evaluate.judge import EvaluationInputs, judge_models
from components.evaluate.report.write import MODEL_CARD_FILE, REPORT_FILE
from components.evaluate.result import Evaluation

STEP = "evaluate"
MOST_CLASSES_ON_KUBEFLOW = 50


def evaluate_step(plan: RunPlan, inputs: EvaluationInputs, *, target: Path, candidate: Path) -> Evaluation:
    """Judge baseline, tuned model and champion.

    Args:
        plan: The plan of the run.
        inputs: Directories of data and models.
        target: Directory for the evaluation.
        candidate: Directory for the candidate, calibrated.
    """
    with step_run(plan.run_id, STEP) as run, tempfile.TemporaryDirectory() as scratch:
        champion = fetch_champion(plan.model_name, Path(scratch), allow_unsigned=plan.registry.allow_unsigned)
        lineage = {"git sha": git_sha(), "pipeline run": plan.run_id, "MLflow run": run.parent.run_id}
        evaluation = judge_models(
            inputs,
            champion=champion,
            target=target,
            candidate_target=candidate,
            gate=plan.gate,
            lineage=lineage,
            run_id=plan.run_id,
        )
        if Judgement.load(target).action == "register":
            keep_candidate(STEP, plan, candidate, target)
        training = Training.load(candidate)
        headline = evaluation.headline() | {"validation_accuracy": training.validation_accuracy}
        # MLflow's comparison of runs draws parameters against metrics of the same run.
        run.parent.log_params(
            {f"config.{name}": value for name, value in training.config.items()}
            | {"config.recipe": training.recipe}
        )
        for tracked in (run, run.parent):
            tracked.log_metrics(headline)
            tracked.set_tags({tags.CANDIDATE: evaluation.candidate, tags.KEPT: evaluation.kept})
            tracked.log_file(target / Evaluation.FILE)
            tracked.log_file(target / REPORT_FILE)
            tracked.log_file(target / MODEL_CARD_FILE)
        for figure in sorted((target / "figures").glob("*.svg")):
            run.log_file(figure, "figures")
        _log_tables(run, target)
        say(STEP, f"baseline test accuracy {headline['baseline/test_accuracy']:.4f}")
        if evaluation.kept:
            say(STEP, "tuned    the baseline is kept: the search found no better configuration")
        else:
            say(STEP, f"tuned    test accuracy {headline['tuned/test_accuracy']:.4f}")
        if seeds := evaluation.tuned_seeds:
            say(STEP, f"tuned    test accuracy over {len(seeds.seeds)} seeds {seeds.stated('test')}")
        return evaluation


def small_confusion_matrix(evaluation: Evaluation) -> tuple[list[str], list[list[int]]] | None:
    """Return names and rows of the candidate's confusion matrix for Kubeflow, which keeps it in its database.

    Returns:
        None for more than 50 classes.
    """
    names = list(evaluation.spec.classes)
    if len(names) > MOST_CLASSES_ON_KUBEFLOW:
        say(
            STEP,
            f"Kubeflow shows no confusion matrix: {len(names)} classes are more than {MOST_CLASSES_ON_KUBEFLOW}; "
            "the report has the matrix",
        )
        return None
    return names, evaluation.candidate_metrics.confusion_matrix(range(len(names))).tolist()


def _log_tables(run: TrackedRun, target: Path) -> None:
    """Log the tables so that MLflow's evaluation view lists them beside those of other runs."""
    files = sorted((target / "tables").glob("*.json"))
    for file in files:
        run.log_file(file, "tables")
    listed = [{"path": f"tables/{file.name}", "type": "table"} for file in files]
    run.set_tags({"mlflow.loggedArtifacts": json.dumps(listed)})


def _count_decision(plan: RunPlan, judgement: Judgement) -> None:
    """Record that the test split has decided once more, with a retried step once."""
    from mlflow import MlflowClient

    def count() -> None:
        with mlflow_must_answer():
            MlflowClient().set_registered_model_tag(
                plan.model_name, decisions_tag(judgement.test_digest), f"{judgement.decision} {plan.run_id}"
            )

    patiently("gate", count)


def gate_step(plan: RunPlan, evaluation: Path) -> str:
    """Return "register" or "keep", and record why."""
    with step_run(plan.run_id, "gate") as run:
        judgement = Judgement.load(evaluation)
        for tracked in (run, run.parent):
            tracked.set_tags(
                {
                    tags.VERDICT: judgement.verdict,
                    tags.DECISION: judgement.action,
                    tags.DECISION_REASONS: "\n".join(judgement.reasons),
                }
            )
        for reason in judgement.reasons:
            say("gate", reason)
        if judgement.decision:
            _count_decision(plan, judgement)
        if judgement.action == "keep":
            run.parent.close()
        return judgement.action
