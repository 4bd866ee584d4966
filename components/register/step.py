"""The `register` step, and the end of the run in MLflow."""

from pathlib import Path

from components.common.errors import PipelineError
from components.common.model.judgement import Judgement
from components.common.model.lineage import Lineage
from components.common.narration import exit_on_stated_error, say
from components.common.plan.run import RunPlan
from components.common.settings import settings
from components.common.tracking import tags
from components.common.tracking.step import step_run
from components.common.tracking.tree import close_pipeline_run, open_pipeline_run
from components.register.publish import Registration, publish

STEP = "register"


def register_step(plan: RunPlan, *, candidate: Path, evaluation: Path) -> Registration:
    """Register the candidate; no other step needs MLflow.

    Args:
        plan: The plan of the run.
        candidate: Directory of the model to register.
        evaluation: Directory with judgement.json.
    """
    with exit_on_stated_error(STEP):
        if not settings().mlflow_tracking_uri:
            raise PipelineError(
                "a model must be registered in MLflow but MLFLOW_TRACKING_URI is not set: name a server."
            )
        # The run may have begun while MLflow was away.
        open_pipeline_run(plan.run_id, plan.run_name, plan.registry.experiment)
    with step_run(plan.run_id, STEP) as run:
        lineage = Lineage(plan, Judgement.load(evaluation))
        registration = publish(candidate, lineage, run_id=run.parent.run_id)
        for tracked in (run, run.parent):
            tracked.set_tags({tags.MODEL_NAME: registration.name, tags.MODEL_VERSION: registration.version})
        run.parent.close()
        say(STEP, f"{registration.name} version {registration.version} is the new champion")
        return registration


def close_run_step(run_id: str, state: str, message: str) -> None:
    """Give the pipeline's run in MLflow its status; kfp's local runner and Kubeflow have two words for success."""
    with exit_on_stated_error("close-run"):
        close_pipeline_run(run_id, succeeded=state in {"SUCCEEDED", "COMPLETE"}, message=message)
