"""The `evaluate` step and its gate, tracked."""

import json
import tempfile
from pathlib import Path

from components.common.data.dataset import read_info
from components.common.model.aliases import registered_model_name
from components.common.model.training_record import Training
from components.common.narration import say
from components.common.provenance import git_sha
from components.common.tracking.run import TrackedRun, step_run
from components.evaluate.champion import fetch_champion
from components.evaluate.evaluation import Evaluation
from components.evaluate.judge import EvaluationInputs, judge_models
from components.evaluate.report.write import MODEL_CARD_FILE, REPORT_FILE

STEP = "evaluate"


def evaluate_step(
    test: Path,
    development: Path,
    baseline: Path,
    tuned: Path,
    pipeline_run_id: str,
    model_name: str,
    min_accuracy: float,
    target: Path,
    candidate: Path,
) -> Evaluation:
    """Judge baseline, tuned model and champion; leave the evaluation in `target`, the calibrated candidate beside."""
    with step_run(pipeline_run_id, STEP) as run, tempfile.TemporaryDirectory() as scratch:
        name = registered_model_name(model_name, read_info(test).name)
        champion = fetch_champion(name, Path(scratch))
        lineage = {"git sha": git_sha(), "pipeline run": pipeline_run_id, "MLflow run": run.parent.run_id}
        evaluation = judge_models(
            EvaluationInputs(test=test, development=development, baseline=baseline, tuned=tuned),
            champion=champion,
            target=target,
            candidate_target=candidate,
            min_accuracy=min_accuracy,
            lineage=lineage,
        )
        training = Training.load(candidate)
        headline = evaluation.headline() | {"validation_accuracy": training.validation_accuracy}
        # MLflow's comparison of runs draws parameters against metrics of the same run.
        run.parent.log_params(
            {f"config.{name}": value for name, value in training.config.items()}
            | {"config.recipe": training.recipe}
        )
        for tracked in (run, run.parent):
            tracked.log_metrics(headline)
            tracked.set_tags({"candidate": evaluation.candidate})
            tracked.log_file(target / Evaluation.FILE)
            tracked.log_file(target / REPORT_FILE)
            tracked.log_file(target / MODEL_CARD_FILE)
        for figure in sorted((target / "figures").glob("*.png")):
            run.log_file(figure, "figures")
        _log_tables(run, target)
        say(STEP, f"baseline test accuracy {headline['baseline/test_accuracy']:.4f}")
        say(STEP, f"tuned    test accuracy {headline['tuned/test_accuracy']:.4f}")
        if seeds := evaluation.tuned_seeds:
            say(STEP, f"tuned    test accuracy over {len(seeds.seeds)} seeds {seeds.stated('test')}")
        return evaluation


def _log_tables(run: TrackedRun, target: Path) -> None:
    """Log the tables so that MLflow's evaluation view lists them beside those of other runs."""
    files = sorted((target / "tables").glob("*.json"))
    for file in files:
        run.log_file(file, "tables")
    listed = [{"path": f"tables/{file.name}", "type": "table"} for file in files]
    run.set_tags({"mlflow.loggedArtifacts": json.dumps(listed)})


def gate_step(evaluation: Path, pipeline_run_id: str) -> str:
    """Return "register" or "keep", and record why."""
    with step_run(pipeline_run_id, "gate") as run:
        decision = Evaluation.load(evaluation).decision
        for tracked in (run, run.parent):
            tracked.set_tags(
                {
                    "verdict": decision.verdict,
                    "decision": decision.action,
                    "decision_reasons": "\n".join(decision.reasons),
                }
            )
        for reason in decision.reasons:
            say("gate", reason)
        return decision.action
