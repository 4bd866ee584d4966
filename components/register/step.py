"""The `register` step, and the end of the run in MLflow."""

import json
import os
from pathlib import Path

from components.common.errors import PipelineError
from components.common.registry import registered_model_name
from components.common.source_version import code_digest, git_sha
from components.common.step import exit_on_user_error, say
from components.common.tracking import close_pipeline_run, mlflow_must_answer, step_run
from components.common.trained_model import Training
from components.register.register import Registration, register

STEP = "register"


def register_step(candidate: Path, evaluation: Path, pipeline_run_id: str, model_name: str) -> Registration:
    """Register the candidate; unlike every other step this one cannot do without MLflow."""
    with step_run(pipeline_run_id, STEP) as run:
        if not run.run_id:
            raise PipelineError(
                "a model is registered in MLflow but MLFLOW_TRACKING_URI is "
                f"{os.environ.get('MLFLOW_TRACKING_URI') or 'not set'}: start that server, or name one."
            )
        training = Training.load(candidate)
        judged = json.loads((evaluation / "evaluation.json").read_text())
        name = registered_model_name(model_name, training.dataset_name)
        tags = {
            "git_sha": git_sha(),
            "code_digest": code_digest(),
            "parameters_digest": _parameters_digest(run.parent.run_id),
            "recipe": training.recipe,
            "seed": str(training.seed),
            "dataset": training.dataset_name,
            "data_digest": training.dataset_digest,
            "test_digest": judged["dataset"]["digest"],
            "weights_digest": training.weights_digest,
        }
        registration = register(
            candidate,
            name,
            run.parent.run_id,
            pipeline_run_id,
            judged_against=judged["champion"]["version"] if judged["champion"] else None,
            description=(evaluation / "summary.md").read_text(),
            tags=tags,
        )
        for tracked in (run, run.parent):
            tracked.set_tags({"model_name": name, "model_version": registration.version})
        say(STEP, f"{name} version {registration.version} is the new champion")
        return registration


def _parameters_digest(run_id: str) -> str:
    """Read what `check-changes` wrote; a version without it is never taken for unchanged."""
    from mlflow import MlflowClient

    with mlflow_must_answer():
        return str(MlflowClient().get_run(run_id).data.tags.get("parameters_digest", "unknown"))


def close_run_step(pipeline_run_id: str, state: str, message: str) -> None:
    """Give the pipeline's run in MLflow its true status."""
    with exit_on_user_error("close-run"):
        close_pipeline_run(pipeline_run_id, succeeded=state == "SUCCEEDED", message=message)
