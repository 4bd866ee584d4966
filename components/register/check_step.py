"""The `check-changes` step: a check for work that is done already."""

from pathlib import Path

from components.common.data.info import DatasetInfo
from components.common.narration import say
from components.common.patience import patiently
from components.common.plan.run import RunPlan
from components.common.settings import settings
from components.common.tracking import tags
from components.common.tracking.client import mlflow_must_answer
from components.common.tracking.step import step_run
from components.register.changes import Changes, changes_since_champion

STEP = "check-changes"
TRAIN, SKIP = "train", "skip"


def check_changes_step(plan: RunPlan, development: Path) -> str:
    """Return "train", or "skip" where the plan asks for that and the champion was made of the same ingredients."""
    with step_run(plan.run_id, STEP) as run:
        if not plan.gate.skip_if_unchanged:
            return TRAIN
        champion = _unchanged_champion(plan, DatasetInfo.load(development))
        if champion is None:
            return TRAIN
        why = f"data, code and plan are those of the champion, {plan.model_name} version {champion}"
        run.parent.set_tags({tags.DECISION: SKIP, tags.DECISION_REASONS: why})
        run.parent.close()
        say(STEP, f"nothing to do: {why}")
        return SKIP


def _unchanged_champion(plan: RunPlan, data: DatasetInfo) -> str | None:
    """Return the version of the champion that this run would make again, None where it would make another."""
    if not settings().mlflow_tracking_uri:
        say(STEP, "training, because the champion cannot be known without MLflow")
        return None
    from mlflow import MlflowClient

    def asked() -> Changes:
        with mlflow_must_answer():
            return changes_since_champion(MlflowClient(), plan, data)

    changes = patiently(STEP, asked)
    if changes.version is None:
        say(STEP, f"training, because {plan.model_name} has no champion")
        return None
    if changes.changed:
        since = f"{plan.model_name} version {changes.version}"
        say(STEP, f"training, because of {since} changed: {', '.join(changes.changed)}")
        return None
    return changes.version
