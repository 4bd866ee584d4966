"""The run tree in MLflow: one run for the pipeline, below it one for each step, below `tune` one for each trial.

This module alone decides which MLflow run a step writes to:

* no address of a server in the settings: nothing is tracked;
* `MLFLOW_RUN_ID` is set, because Kubeflow's native integration made a run for the task: that run. It moves to directly
  below the pipeline's run, because Kubeflow puts further runs for loops, conditions and exit handlers between;
* otherwise a run of this project, found by Kubeflow's id of the pipeline run, which every step knows.
"""

from typing import TYPE_CHECKING

from components.common.errors import PipelineError, UnavailableError
from components.common.narration import say
from components.common.patience import patiently
from components.common.provenance import compute_environment
from components.common.settings import settings
from components.common.tracking import tags
from components.common.tracking.client import (
    MOST_EXPERIMENTS,
    all_pages,
    batched,
    mlflow_must_answer,
    tracking_client,
)
from components.common.tracking.failures import is_outage, mlflow_errors, reason
from components.common.tracking.outbox import STEP, Outbox
from components.common.tracking.run import StepRun, TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# The work can do without the run of a step, so it waits no longer for it where it would for what it needs.
WITNESS_SECONDS = 300.0


def find_pipeline_run(client: "MlflowClient", pipeline_run_id: str) -> "Run | None":
    """Return the pipeline's run in MLflow by Kubeflow's id, None where there is none."""
    experiments = [experiment.experiment_id for experiment in all_pages(client.search_experiments)]
    wanted = f"tags.{tags.PIPELINE_RUN} = '{pipeline_run_id}' and {tags.IS_PIPELINE}"
    for part in batched(experiments, MOST_EXPERIMENTS):
        if runs := client.search_runs(list(part), wanted, max_results=1):
            return runs[0]
    return None


def open_pipeline_run(pipeline_run_id: str, name: str, experiment_name: str) -> None:
    """Create the pipeline's run, or adopt the one that Kubeflow made; the first step calls this.

    Args:
        pipeline_run_id: Kubeflow's id of the pipeline run.
        name: The run's name where `MLFLOW_RUN_NAME` does not give one.
        experiment_name: Created when missing; not used with Kubeflow's native integration.

    Raises:
        PipelineError: MLflow refuses, or the experiment is deleted.
        UnavailableError: MLflow does not answer for OUTAGE_SECONDS.
    """
    client = tracking_client()
    if client is None:
        return

    def opened() -> None:
        allowed = f"let this user create runs in the experiment {experiment_name!r}"
        with mlflow_must_answer("a run", f"start that server, or {allowed}"):
            _open_pipeline_run(client, pipeline_run_id, name, experiment_name)

    patiently(STEP, opened)


def _open_pipeline_run(client: "MlflowClient", pipeline_run_id: str, name: str, experiment_name: str) -> None:
    marks = {tags.PIPELINE_RUN: pipeline_run_id, tags.STEP: tags.PIPELINE}
    if injected := settings().mlflow_run_id:
        parent_id = _lineage(client, injected)[-1].info.run_id
        for key, value in marks.items():
            client.set_tag(parent_id, key, value)
        return
    if find_pipeline_run(client, pipeline_run_id) is not None:
        return
    client.create_run(
        ensured_experiment(client, experiment_name), run_name=settings().mlflow_run_name or name, tags=marks
    )


def ensured_experiment(client: "MlflowClient", name: str) -> str:
    """Return the id of the experiment of that name, which is created where it is missing.

    Raises:
        PipelineError: It is deleted.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return str(client.create_experiment(name))
    if experiment.lifecycle_stage == "deleted":
        raise PipelineError(
            f"experiment_name must name an active MLflow experiment but {name!r} is deleted: "
            "restore it in MLflow or choose another name."
        )
    return str(experiment.experiment_id)


def close_pipeline_run(pipeline_run_id: str, succeeded: bool, message: str) -> None:
    """Give the pipeline's run its true status; the exit handler calls this.

    A step that ends the run's work has closed it before: then the run has succeeded, whatever `succeeded` is. Kubeflow
    2.17 reports RUNNING where a condition left steps out, and FAILED where a step failed once and then succeeded.

    A child that is still RUNNING belongs to a pod that was killed, and gets the same status. The error of an attempt
    that failed is not that of a run that has succeeded in the end, and is removed.

    Args:
        pipeline_run_id: Kubeflow's id of the pipeline run.
        succeeded: Kubeflow reports success.
        message: Kubeflow's error; where the run has failed and no step has recorded an error, it is recorded, behind
            the names of the steps that were killed.

    Raises:
        UnavailableError: MLflow does not answer for OUTAGE_SECONDS.
    """
    client = tracking_client()
    if client is None:
        return

    def closed() -> None:
        with mlflow_must_answer():
            _close_pipeline_run(client, pipeline_run_id, succeeded, message)

    try:
        patiently(STEP, closed)
    except PipelineError as error:
        say(STEP, f"the pipeline's run in MLflow is left as it is: {error}")


def _close_pipeline_run(client: "MlflowClient", pipeline_run_id: str, succeeded: bool, message: str) -> None:
    if parent := find_pipeline_run(client, pipeline_run_id):
        running = f"attributes.status = 'RUNNING' and {tags.below(parent.info.run_id)}"
        lost = list(all_pages(client.search_runs, [parent.info.experiment_id], running))
        ended = parent.info.status == "FINISHED"
        for run in lost if ended else (*lost, parent):
            client.set_terminated(run.info.run_id, "FINISHED" if succeeded or ended else "FAILED")
        if tags.ERROR in parent.data.tags:
            if succeeded or ended:  # of an earlier attempt
                client.delete_tag(parent.info.run_id, tags.ERROR)
        elif not ended and not succeeded and (told := "; ".join(filter(None, (_lost_steps(lost), message)))):
            client.set_tag(parent.info.run_id, tags.ERROR, told)


def _lost_steps(runs: "list[Run]") -> str:
    """Say which steps have left their runs open; "" for none."""
    steps = ", ".join(sorted({run.data.tags[tags.STEP] for run in runs if tags.STEP in run.data.tags}))
    return steps and f"{steps}: ended without an error of its own, as where it was killed"


def open_step_run(pipeline_run_id: str, step: str) -> StepRun:
    """Find or create the run of a step; it is untracked where MLflow refuses, or does not answer for five minutes.

    A retried task, and the tasks of `tune`, share one run.

    Raises:
        PipelineError: MLflow has no run of that pipeline run.
    """
    client = tracking_client()
    if client is None:
        return StepRun.untracked()

    def opened() -> "tuple[Run, str]":
        try:
            if injected := settings().mlflow_run_id:
                return _injected_run(client, injected, step)
            return _own_run(client, pipeline_run_id, step)
        except mlflow_errors() as error:
            if is_outage(error):
                raise UnavailableError(
                    f"MLflow must give this step a run but does not ({reason(error)}): start it, or read its log."
                ) from error
            raise

    expected: tuple[type[Exception], ...] = (UnavailableError, *mlflow_errors())
    try:
        run, parent_id = patiently(STEP, opened, min(WITNESS_SECONDS, settings().outage_seconds))
    except expected as error:
        say(STEP, f"this step is not tracked: {reason(error)}")
        return StepRun.untracked()
    parent = TrackedRun(client, parent_id, run.info.experiment_id, Outbox())
    return StepRun.below(parent, run.info.run_id)


def _injected_run(client: "MlflowClient", injected: str, step: str) -> "tuple[Run, str]":
    """Return the step's run and the id of the pipeline's run, given the run that Kubeflow made for the task."""
    from mlflow.entities import RunTag

    lineage = _lineage(client, injected)
    parent_id = lineage[-1].info.run_id
    _forget_notice(client, lineage[-1])
    # Kubeflow makes a run for each task of `tune`; the run of the nested pipeline above them is the step's.
    run = next((above for above in lineage[:-1] if above.info.run_name == step), lineage[0])
    marks = {tags.STEP: step, **compute_environment()}
    client.log_batch(run.info.run_id, tags=[RunTag(key, value) for key, value in marks.items()])
    _place(client, run, parent_id)
    if run is not lineage[0]:
        _place(client, lineage[0], run.info.run_id)
    return run, parent_id


def _own_run(client: "MlflowClient", pipeline_run_id: str, step: str) -> "tuple[Run, str]":
    """Return the step's run, which is created where it is missing, and the id of the pipeline's run."""
    parent = find_pipeline_run(client, pipeline_run_id)
    if parent is None:
        raise PipelineError(
            f"MLflow must hold the pipeline run {pipeline_run_id!r} but has no such run: "
            "start the pipeline again from its first step."
        )
    parent_id, experiment_id = parent.info.run_id, parent.info.experiment_id
    of_step = f"{tags.below(parent_id)} and tags.{tags.STEP} = '{step}'"
    siblings = client.search_runs([experiment_id], of_step)
    marks = {tags.PARENT: parent_id, tags.STEP: step, **compute_environment()}
    name = f"{step} | {parent.info.run_name}"
    run = siblings[0] if siblings else client.create_run(experiment_id, run_name=name, tags=marks)
    client.update_run(run.info.run_id, status="RUNNING")
    if parent.info.status in {"FAILED", "KILLED"}:  # a run that ended so goes on
        client.update_run(parent_id, status="RUNNING")
    _forget_notice(client, parent)
    return run, parent_id


def _forget_notice(client: "MlflowClient", parent: "Run") -> None:
    """Let a run that was told of, and goes on, be told of again when it ends."""
    if tags.NOTIFIED in parent.data.tags:
        client.delete_tag(parent.info.run_id, tags.NOTIFIED)


def _lineage(client: "MlflowClient", run_id: str) -> "list[Run]":
    """Return the run and all runs above it, the pipeline's run last."""
    lineage = [client.get_run(run_id)]
    while above := lineage[-1].data.tags.get(tags.PARENT):
        lineage.append(client.get_run(above))
    return lineage


def _place(client: "MlflowClient", run: "Run", parent_id: str) -> None:
    """Move a run to directly below another; the pipeline's run, at the top, stays."""
    if run.data.tags.get(tags.PARENT, parent_id) != parent_id:
        client.set_tag(run.info.run_id, tags.PARENT, parent_id)
