"""The `register` step, and the end of the run in MLflow."""

import json
import os
from pathlib import Path

from components.common.errors import PipelineError
from components.common.model.aliases import registered_model_name
from components.common.model.training_record import Training
from components.common.narration import exit_on_user_error, say
from components.common.tracking.run import close_pipeline_run, mlflow_must_answer, step_run
from components.register.lineage import lineage
from components.register.publish import Registration, register

STEP = "register"


def register_step(candidate: Path, evaluation: Path, pipeline_run_id: str, model_name: str) -> Registration:
    """Register the candidate; unlike every other step this one cannot do without MLflow."""
    with step_run(pipeline_run_id, STEP) as run:
        if not run.run_id:
            raise PipelineError(
                "a model is registered in MLflow but MLFLOW_TRACKING_URI is "
                f"{os.environ.get('MLFLOW_TRACKING_URI') or 'not set'}: start that server, or name one."
            )
        from mlflow import MlflowClient

        training = Training.load(candidate)
        judged = json.loads((evaluation / "evaluation.json").read_text())
        name = registered_model_name(model_name, training.dataset_name)
        with mlflow_must_answer():
            tags = lineage(MlflowClient(), run.parent.run_id, training, judged["dataset"]["digest"])
        tags |= {
            "verdict": judged["decision"]["verdict"],
            "temperature": str(judged["calibration"]["temperature"]),
            "reject_below": str(judged["selective"]["threshold"]),
            "model_card": f"runs:/{run.parent.run_id}/model_card.md",
        }
        registration = register(
            candidate,
            name,
            run.parent.run_id,
            pipeline_run_id,
            judged_against=judged["champion"]["version"] if judged["champion"] else None,
            # MLflow's list of versions shows the beginning as it is, marks and all.
            description=(evaluation / "summary.md").read_text().removeprefix("## "),
            tags=tags,
        )
        for tracked in (run, run.parent):
            tracked.set_tags({"model_name": name, "model_version": registration.version})
        say(STEP, f"{name} version {registration.version} is the new champion")
        return registration


def close_run_step(pipeline_run_id: str, state: str, message: str) -> None:
    """Give the pipeline's run in MLflow its true status; kfp's local runner and Kubeflow have two words for success."""
    with exit_on_user_error("close-run"):
        close_pipeline_run(pipeline_run_id, succeeded=state in {"SUCCEEDED", "COMPLETE"}, message=message)
