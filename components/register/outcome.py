"""Notices of what a run of the pipeline came to."""

from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from components.common.notify import Notice, has_receivers, notify
from components.common.patience import patiently
from components.common.settings import settings
from components.common.tracking import tags
from components.common.tracking.client import mlflow_must_answer, tracking_client
from components.common.tracking.pages import run_page, version_page
from components.common.tracking.tree import find_pipeline_run

if TYPE_CHECKING:
    from mlflow.entities import Run

STEP = "close-run"


def tell_outcome(pipeline_run_id: str, *, succeeded: bool, message: str) -> None:
    """Tell what a run that MLflow has closed came to; a further attempt at the step does not tell it again.

    Args:
        pipeline_run_id: Kubeflow's id of the pipeline run.
        succeeded: Kubeflow reports success; it counts where MLflow knows no such run.
        message: Kubeflow's error.

    Raises:
        UnavailableError: MLflow does not answer for OUTAGE_SECONDS, and nothing was told.
    """
    if not has_receivers():
        return
    try:
        known, notice = patiently(STEP, lambda: _claimed(pipeline_run_id))
    except PipelineError as error:
        known, notice = False, None
        message = message or str(error)
    if notice:
        notify(notice)
    elif not known and not succeeded:
        tell_failure(pipeline_run_id, message)


def tell_failure(pipeline_run_id: str, *lines: str) -> None:
    """Tell of a run that MLflow does not know, or cannot tell of, that it failed."""
    notify(Notice("failed", f"pipeline run {pipeline_run_id} failed", tuple(filter(None, lines)), None))


def _claimed(pipeline_run_id: str) -> tuple[bool, Notice | None]:
    """Return whether MLflow knows the run, and the notice where there is one that nobody has sent.

    The run is marked first: a message too few after a crash in between is better than one for each attempt.
    """
    client = tracking_client()
    if client is None:
        return False, None
    with mlflow_must_answer():
        run = find_pipeline_run(client, pipeline_run_id)
        if run is None:
            return False, None
        notice = None if tags.NOTIFIED in run.data.tags else notice_of(run)
        if notice:
            client.set_tag(run.info.run_id, tags.NOTIFIED, notice.kind)
    return True, notice


def notice_of(run: "Run") -> Notice | None:
    """Return what to tell of a pipeline's run in MLflow that has ended; None where nothing was decided."""
    known, uri = run.data.tags, settings().mlflow_tracking_uri or ""
    page = run_page(uri, run.info.experiment_id, run.info.run_id)
    about = f"run {run.info.run_name} on {known.get(tags.DATASET, 'data that is not known')}"
    reasons = tuple(known.get(tags.DECISION_REASONS, "").splitlines())
    if run.info.status != "FINISHED":
        told = known.get(tags.ERROR, "no step has recorded an error")
        return Notice("failed", f"run {run.info.run_name} failed", (told, about), page)
    if version := known.get(tags.MODEL_VERSION):
        named = f"{known.get(tags.MODEL_NAME)} version {version}"
        page = version_page(uri, known.get(tags.MODEL_NAME, ""), version)
        if known.get(tags.APPROVAL) == tags.WAITING:
            way = f"approve it with: mnist-pipeline models approve {version} --why REASON"
            return Notice("waiting", f"{named} waits for approval", (*reasons, about, way), page)
        return Notice("champion", f"{named} is the new champion", (*reasons, about), page)
    if known.get(tags.DECISION) == "keep" and known.get(tags.VERDICT) != "identical":
        return Notice(
            "refused", f"the candidate of run {run.info.run_name} is not registered", (*reasons, about), page
        )
    return None
