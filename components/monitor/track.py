"""A look at a window as a run in MLflow, in an experiment of its own."""

from dataclasses import dataclass
from pathlib import Path

from components.common.settings import settings
from components.common.storage.address import shown
from components.common.tracking import tags
from components.monitor.report import REPORT_FILE
from components.monitor.result import Monitoring

STEP = "monitor"
SUFFIX = "-monitoring"
WINDOW = "window"
# On a run: its drift was told to the receivers of notices.
TOLD = "told"


@dataclass(frozen=True)
class TrackedLook:
    """The run of a look.

    Attributes:
        run_id: MLflow's id.
        link: Address of its page.
        told: Whether drift in this window was told before.
    """

    run_id: str
    link: str
    told: bool


def track(found: Monitoring, directory: Path, experiment_name: str) -> TrackedLook:
    """Record a look, in the run of an earlier look at the same window where there is one.

    Args:
        found: What was found.
        directory: Holds the files to keep.
        experiment_name: The experiment of the model's runs; this one is called like it with `SUFFIX`.

    Raises:
        MlflowException: MLflow refuses or does not answer.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, RunTag
    from mlflow.utils.time import get_current_time_millis

    client, named = MlflowClient(), experiment_name + SUFFIX
    experiment = client.get_experiment_by_name(named)
    identity = experiment.experiment_id if experiment else client.create_experiment(named)
    window = f"{found.model} v{found.version} {found.window}"
    earlier = client.search_runs([identity], f"tags.{WINDOW} = '{window}'", max_results=1)
    run = earlier[0] if earlier else client.create_run(identity, run_name=window)
    now = get_current_time_millis()
    marks = {
        tags.STEP: STEP,
        WINDOW: window,
        tags.MODEL_NAME: found.model,
        tags.MODEL_VERSION: found.version,
        "verdict": found.verdict,
        "drifted": ", ".join(finding.name for finding in found.drifted),
    }
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, float(value), now, 0) for name, value in found.metrics().items()],
        tags=[RunTag(key, value) for key, value in marks.items()],
    )
    for name in (Monitoring.FILE, REPORT_FILE):
        client.log_artifact(run.info.run_id, str(directory / name))
    client.set_terminated(run.info.run_id)
    link = f"{shown(settings().mlflow_tracking_uri or '')}/#/experiments/{identity}/runs/{run.info.run_id}"
    return TrackedLook(run.info.run_id, link, TOLD in run.data.tags)


def mark_told(look: TrackedLook) -> None:
    """Record that the drift was told.

    Raises:
        MlflowException: MLflow refuses or does not answer.
    """
    from mlflow import MlflowClient

    MlflowClient().set_tag(look.run_id, TOLD, "true")
