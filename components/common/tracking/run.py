"""The run tree in MLflow: pipeline run -> one child per step -> one grandchild per trial.

The one place that decides which MLflow run a step writes to:

* no ``MLFLOW_TRACKING_URI``: nothing is tracked;
* ``MLFLOW_RUN_ID`` set (Kubeflow's native integration injected the task's run): that run, and the one at the top of
  its tree, to which it is moved up: Kubeflow puts a run of its own for every loop, condition and exit handler between;
* otherwise a run of our own, found again by the pipeline run's id, which every step knows.

Tracking is a witness. When MLflow stops answering, the work goes on; what was not sent is kept, sent when it answers
again, and reported when it never does.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from components.common.narration import exit_on_user_error, say
from components.common.provenance import compute_environment
from components.common.tracking.outbox import Outbox, reason

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow's own defaults keep a step waiting for minutes when the server is gone.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# Files come and go through the MLflow server. Its client would otherwise ask it for addresses in its own store, which
# mean nothing where only the server reaches the store: from a laptop to a cluster, or to a server in a container.
os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
os.environ.setdefault("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "false")
# A cluster's own setting (pipelines/environment.py), where Kubeflow's integration has not set the address.
if "DEFAULT_MLFLOW_TRACKING_URI" in os.environ:
    os.environ.setdefault("MLFLOW_TRACKING_URI", os.environ["DEFAULT_MLFLOW_TRACKING_URI"])

PIPELINE_RUN_TAG = "pipeline_run_id"
STEP_TAG = "step"
PARENT_TAG = "mlflow.parentRunId"


class TrackedRun:
    """One MLflow run to write to; without a client every method does nothing."""

    def __init__(
        self, client: "MlflowClient | None", run_id: str, experiment_id: str, outbox: Outbox
    ) -> None:
        self._client = client
        self.run_id = run_id
        self.experiment_id = experiment_id
        self._outbox = outbox

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        now = int(time.time() * 1000)
        self._log("metrics", [(key, float(value), now, step) for key, value in metrics.items()])

    def log_params(self, params: Mapping[str, object]) -> None:
        self._log("params", [(key, str(value)) for key, value in params.items()])

    def set_tags(self, tags: Mapping[str, object]) -> None:
        self._log("tags", [(key, str(value)) for key, value in tags.items()])

    def _log(self, kind: str, records: list[tuple[Any, ...]]) -> None:
        def send(client: "MlflowClient") -> None:
            from mlflow.entities import Metric, Param, RunTag

            entity = {"metrics": Metric, "params": Param, "tags": RunTag}[kind]
            client.log_batch(self.run_id, **{kind: [entity(*record) for record in records]})

        self._call(send)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        self._call(lambda client: client.log_artifact(self.run_id, str(path), folder))

    def log_dataset(self, name: str, digest: str, source: str, context: str) -> None:
        """Record which data the run used; `digest` is the full sha256 (MLflow keeps 36 characters)."""

        def send(client: "MlflowClient") -> None:
            from mlflow.entities import Dataset, DatasetInput, InputTag

            dataset = Dataset(name=name, digest=digest[:36], source_type="uri", source=source)
            tag = InputTag("mlflow.data.context", context)
            client.log_inputs(self.run_id, [DatasetInput(dataset, [tag])])

        self._call(send)

    def child(self, name: str, tags: Mapping[str, str] | None = None) -> "TrackedRun":
        """Open a nested run, for a trial; it has no id before MLflow has answered."""
        nested = TrackedRun(self._client, "", self.experiment_id, self._outbox)
        tags = {**(tags or {}), PARENT_TAG: self.run_id}
        started = int(time.time() * 1000)

        def create(client: "MlflowClient") -> None:
            run = client.create_run(self.experiment_id, started, tags, name)
            nested.run_id = run.info.run_id

        self._call(create)
        return nested

    def nested(self, run_id: str) -> "TrackedRun":
        """Go on with a nested run that `child` opened, perhaps in another process."""
        return TrackedRun(self._client, run_id, self.experiment_id, self._outbox)

    def close(self, status: str = "FINISHED") -> None:
        self._call(lambda client: client.set_terminated(self.run_id, status))

    def _call(self, call: "Callable[[MlflowClient], object]") -> None:
        client = self._client
        if client is not None:
            self._outbox.send(lambda: call(client))


class StepRun(TrackedRun):
    """A step's own run, with the pipeline run above it."""

    parent: TrackedRun

    @classmethod
    def untracked(cls) -> "StepRun":
        run = cls(None, "", "", Outbox())
        run.parent = run
        return run


def _client() -> "MlflowClient | None":
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    from mlflow import MlflowClient

    return MlflowClient()


@contextmanager
def mlflow_must_answer() -> Iterator[None]:
    """Turn an error of MLflow's client into one line, where the work cannot go on without the answer.

    Raises:
        PipelineError: A call in the block failed.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise PipelineError(
            f"this step needs MLflow at {os.environ['MLFLOW_TRACKING_URI']} but {reason(error)}: "
            "start that server, or correct what it refuses."
        ) from error


def _search(client: "MlflowClient", filter_string: str) -> "Run | None":
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, filter_string, max_results=1)
    return runs[0] if runs else None


def find_pipeline_run(client: "MlflowClient", pipeline_run_id: str) -> "Run | None":
    return _search(client, f"tags.{PIPELINE_RUN_TAG} = '{pipeline_run_id}' and tags.{STEP_TAG} = 'pipeline'")


def _lineage(client: "MlflowClient", run_id: str) -> "list[Run]":
    """Return the run and those that it hangs from, up to the top."""
    lineage = [client.get_run(run_id)]
    while above := lineage[-1].data.tags.get(PARENT_TAG):
        lineage.append(client.get_run(above))
    return lineage


def open_pipeline_run(pipeline_run_id: str, name: str, experiment_name: str) -> None:
    """Create the parent run, or adopt the one that Kubeflow made; the first step calls this.

    Args:
        pipeline_run_id: Kubeflow's id of the pipeline run.
        name: The parent's name where `MLFLOW_RUN_NAME` does not give one.
        experiment_name: Created when missing; not used with Kubeflow's native integration.

    Raises:
        PipelineError: MLflow does not answer, or the experiment is deleted.
    """
    if client := _client():
        with mlflow_must_answer():
            _open_pipeline_run(client, pipeline_run_id, name, experiment_name)


def _open_pipeline_run(client: "MlflowClient", pipeline_run_id: str, name: str, experiment_name: str) -> None:
    tags = {PIPELINE_RUN_TAG: pipeline_run_id, STEP_TAG: "pipeline"}
    if injected := os.environ.get("MLFLOW_RUN_ID"):
        parent_id = _lineage(client, injected)[-1].info.run_id
        for key, value in tags.items():
            client.set_tag(parent_id, key, value)
        return
    if find_pipeline_run(client, pipeline_run_id) is not None:
        return
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise PipelineError(
            f"experiment_name must name an active MLflow experiment but {experiment_name!r} is deleted: "
            "restore it in MLflow or choose another name."
        )
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(experiment_name)
    client.create_run(experiment_id, run_name=os.environ.get("MLFLOW_RUN_NAME") or name, tags=tags)


def close_pipeline_run(pipeline_run_id: str, succeeded: bool, message: str) -> None:
    """Give the parent run its true status; the exit handler calls this.

    A step that ends the run's work has closed it before: then it has succeeded, whatever `succeeded` says. Kubeflow
    2.17 says RUNNING where a condition left steps out, and FAILED where a step failed and then, tried again, did not.

    A child that is still RUNNING belongs to a pod that was killed, and gets the same status.
    """
    client = _client()
    if client is None:
        return
    from mlflow.exceptions import MlflowException

    try:
        if parent := find_pipeline_run(client, pipeline_run_id):
            lost = client.search_runs(
                [parent.info.experiment_id],
                f"attributes.status = 'RUNNING' and tags.`{PARENT_TAG}` = '{parent.info.run_id}'",
            )
            ended = parent.info.status == "FINISHED"
            for run in lost if ended else (*lost, parent):
                client.set_terminated(run.info.run_id, "FINISHED" if succeeded or ended else "FAILED")
            if message and not ended and "error" not in parent.data.tags:
                client.set_tag(parent.info.run_id, "error", message)
    except MlflowException as error:
        say("tracking", f"the pipeline's run in MLflow is left as it is: {reason(error)}")


def _open_step(client: "MlflowClient", pipeline_run_id: str, step: str) -> StepRun:
    """Find or create the step's run: a retried task, and the parts of `tune`, share one."""
    environment = compute_environment()
    if injected := os.environ.get("MLFLOW_RUN_ID"):
        from mlflow.entities import RunTag

        lineage = _lineage(client, injected)
        parent_id = lineage[-1].info.run_id
        # The parts of `tune` have the run of the nested pipeline in common, as pods of one step.
        run = next((above for above in lineage[:-1] if above.info.run_name == step), lineage[0])
        tags = {STEP_TAG: step, **environment}
        client.log_batch(run.info.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        _hang(client, run, parent_id)
        if run is not lineage[0]:
            _hang(client, lineage[0], run.info.run_id)
    else:
        parent = find_pipeline_run(client, pipeline_run_id)
        if parent is None:
            raise PipelineError(f"MLflow must hold the pipeline run {pipeline_run_id!r} but has no such run.")
        parent_id = parent.info.run_id
        experiment_id = parent.info.experiment_id
        siblings = client.search_runs(
            [experiment_id], f"tags.`{PARENT_TAG}` = '{parent_id}' and tags.{STEP_TAG} = '{step}'"
        )
        tags = {PARENT_TAG: parent_id, STEP_TAG: step, **environment}
        name = f"{step} | {parent.info.run_name}"
        run = siblings[0] if siblings else client.create_run(experiment_id, run_name=name, tags=tags)
        client.update_run(run.info.run_id, status="RUNNING")
    outbox = Outbox()
    opened = StepRun(client, run.info.run_id, run.info.experiment_id, outbox)
    opened.parent = TrackedRun(client, parent_id, run.info.experiment_id, outbox)
    return opened


def _hang(client: "MlflowClient", run: "Run", parent_id: str) -> None:
    """Move a run to right below another; the pipeline's own, at the top, stays."""
    if run.data.tags.get(PARENT_TAG, parent_id) != parent_id:
        client.set_tag(run.info.run_id, PARENT_TAG, parent_id)


def _step_or_untracked(pipeline_run_id: str, step: str) -> StepRun:
    client = _client()
    if client is None:
        return StepRun.untracked()
    from mlflow.exceptions import MlflowException

    try:
        return _open_step(client, pipeline_run_id, step)
    except MlflowException as error:
        say("tracking", f"this step is not tracked: {reason(error)}")
        return StepRun.untracked()


@contextmanager
def step_run(pipeline_run_id: str, step: str, *, last: bool = True) -> Iterator[StepRun]:
    """Run a step's work inside its MLflow run; a user's error ends the process in one line.

    Args:
        pipeline_run_id: Kubeflow's id of the pipeline run.
        step: The step's name, unique within the pipeline.
        last: False where another task goes on writing to the same step's run.
    """
    with exit_on_user_error(step):
        run = _step_or_untracked(pipeline_run_id, step)
        try:
            yield run
        except BaseException as error:
            for tracked in (run, run.parent):
                tracked.set_tags({"error": f"{step}: {reason(error)}"})
            run.close("FAILED")
            raise
        else:
            if last:
                run.close()
        finally:
            run._outbox.close()
