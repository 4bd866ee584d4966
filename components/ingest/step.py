"""The `ingest` step: the first of a run, so it opens the run in MLflow."""

import json
import os
from pathlib import Path

from components.common.data.raw_data import SourceInfo
from components.common.errors import PipelineError
from components.common.model.aliases import registered_model_name
from components.common.narration import exit_on_user_error
from components.common.provenance import git_sha
from components.common.tracking.run import mlflow_must_answer, open_pipeline_run, step_run
from components.ingest.collect import IngestConfig, ingest

STEP = "ingest"


def ingest_step(
    config: IngestConfig,
    pipeline_run_id: str,
    pipeline_run_name: str,
    experiment_name: str,
    model_name: str,
    target: Path,
) -> SourceInfo:
    """Open the pipeline run, and bring the data in."""
    with exit_on_user_error(STEP):
        open_pipeline_run(pipeline_run_id, pipeline_run_name, experiment_name)
    with step_run(pipeline_run_id, STEP) as run:
        info = ingest(config, target)
        name = registered_model_name(model_name, info.name)
        refuse_foreign_model(name, info.name)
        run.parent.set_tags(
            {
                "dataset": info.name,
                "data_version": info.version,
                "data_source": info.source,
                "raw_digest": info.digest,
                "raw_files": json.dumps(info.files),
                "model_name": name,
                "git_sha": git_sha(),
            }
        )
        run.log_metrics({f"images.{part}": count for part, count in info.counts.items()})
        run.log_file(target / "source.json")
        return info


def refuse_foreign_model(model_name: str, dataset_name: str) -> None:
    """Refuse to put models of two data sets under one registered name, where one would judge the other.

    Raises:
        PipelineError: The registered model holds a version that was trained on another data set, MLflow could
            not register a model under the name, or does not answer.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    if unfit := set(model_name) & {"/", ":", "'"}:
        raise PipelineError(
            f"model_name must be without {' '.join(sorted(unfit))} but got {model_name!r}: choose another."
        )
    from mlflow import MlflowClient

    with mlflow_must_answer():
        versions = MlflowClient().search_model_versions(f"name = '{model_name}'", max_results=1)
    others = {version.tags["dataset"] for version in versions if "dataset" in version.tags} - {dataset_name}
    if others:
        raise PipelineError(
            f"a registered model holds one data set's models, but {model_name!r} holds {others.pop()!r} "
            f"and this run is on {dataset_name!r}: choose another model_name."
        )
