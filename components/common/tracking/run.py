"""Writers to one run in MLflow; without a server they do nothing."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.tracking.outbox import Outbox
from components.common.tracking.tags import PARENT
from components.common.tracking.views import keep_views

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Other processes need the id of a nested run. It takes some milliseconds unless MLflow is away.
CHILD_SECONDS = 5.0


class TrackedRun:
    """One MLflow run to write to; every method does nothing where the run is not tracked.

    Records go to the outbox, which sends them in their order while the work goes on.

    Attributes:
        run_id: MLflow's id; empty where the run is not tracked, and in a child that MLflow has not created yet.
        experiment_id: MLflow's id of the experiment; empty where the run is not tracked.
    """

    def __init__(
        self, client: "MlflowClient | None", run_id: str, experiment_id: str, outbox: Outbox
    ) -> None:
        self._client = client
        self.run_id = run_id
        self.experiment_id = experiment_id
        self._outbox = outbox

    @property
    def tracked(self) -> bool:
        """Whether there is a run in MLflow, or will be one as soon as MLflow answers."""
        return self._client is not None

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers; `step` is their place on the horizontal axis of MLflow's charts."""
        now = int(time.time() * 1000)
        self._log("metrics", [(key, float(value), now, step) for key, value in metrics.items()])

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record settings as text; MLflow refuses another value for a name that has one."""
        self._log("params", [(key, str(value)) for key, value in params.items()])

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Record texts, in place of earlier ones of the same names."""
        self._log("tags", [(key, str(value)) for key, value in tags.items()])

    def _log(self, kind: str, records: list[tuple[Any, ...]]) -> None:
        def send(client: "MlflowClient") -> None:
            from mlflow.entities import Metric, Param, RunTag

            entity = {"metrics": Metric, "params": Param, "tags": RunTag}[kind]
            client.log_batch(self.run_id, **{kind: [entity(*record) for record in records]})

        self._call(send)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Upload a file to a folder of the run's artifacts, by default to the top one; it must stay until then."""
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
        """Open a nested run, for a trial; it has no id before MLflow has answered, which is waited for shortly."""
        nested = TrackedRun(self._client, "", self.experiment_id, self._outbox)
        tags = {**(tags or {}), PARENT: self.run_id}
        started = int(time.time() * 1000)

        def create(client: "MlflowClient") -> None:
            run = client.create_run(self.experiment_id, started, tags, name)
            nested.run_id = run.info.run_id

        self._call(create)
        self._outbox.flush(CHILD_SECONDS)
        return nested

    def nested(self, run_id: str) -> "TrackedRun":
        """Continue a nested run that `child` opened, perhaps in another process."""
        return TrackedRun(self._client, run_id, self.experiment_id, self._outbox)

    def keep_views(self, searched: Iterable[str]) -> None:
        """Give the run's experiment the views of `components.common.tracking.views`."""
        self._call(lambda client: keep_views(client, self.experiment_id, searched))

    def close(self, status: str = "FINISHED") -> None:
        """End the run with one of MLflow's statuses."""
        self._call(lambda client: client.set_terminated(self.run_id, status))

    def _call(self, call: "Callable[[MlflowClient], object]") -> None:
        client = self._client
        if client is not None:
            self._outbox.send(lambda: call(client))


class StepRun(TrackedRun):
    """The run of a step.

    Attributes:
        parent: The run of the whole pipeline, above it.
    """

    parent: TrackedRun

    @classmethod
    def below(cls, parent: TrackedRun, run_id: str) -> "StepRun":
        """Return the run of that id, with the pipeline's run above it."""
        run = cls(parent._client, run_id, parent.experiment_id, parent._outbox)
        run.parent = parent
        return run

    @classmethod
    def untracked(cls) -> "StepRun":
        """Return a run that is not in MLflow, below a pipeline's run that is not either."""
        return cls.below(TrackedRun(None, "", "", Outbox()), "")

    def end(self, seconds: float) -> None:
        """Send what waits, for so long without an answer, or report it as lost."""
        self._outbox.close(seconds)
