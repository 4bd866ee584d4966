"""What a version came from: enough to make it again."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from components.common.model.training_record import Training
from components.common.provenance import PREFIX, code_digest, git_sha, lock_digest, running_image
from components.common.tracking.run import PARENT_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

FROM_PIPELINE_RUN = (
    "data_source",
    "data_version",
    "raw_digest",
    "raw_files",
    "split_seed",
    "stratify",
    "fraction",
    "parameters_digest",
)


def lineage(client: "MlflowClient", run_id: str, training: Training, test_digest: str) -> dict[str, str]:
    """Return the tags of the version that comes from the pipeline run `run_id`.

    The tags that begin with ``compute.`` are those of the run that trained the model, which may have had another
    machine than this step; they are missing where MLflow did not see the training.
    """
    run = client.get_run(run_id)
    sha = git_sha()
    return {
        "git_sha": sha.removesuffix("-dirty"),
        "git_dirty": "unknown" if sha == "unknown" else str(sha.endswith("-dirty")).lower(),
        "image": running_image(),
        "mlflow_run_id": run_id,
        "code_digest": code_digest(),
        "lock_digest": lock_digest(),
        "recipe": training.recipe,
        "seed": str(training.seed),
        "config": json.dumps(training.config),
        "dataset": training.dataset_name,
        "data_digest": training.dataset_digest,
        "test_digest": test_digest,
        "weights_digest": training.weights_digest,
        **{key: run.data.tags[key] for key in FROM_PIPELINE_RUN if run.data.tags.get(key)},
        **_training_tags(client, run.info.experiment_id, run_id, training.weights_digest),
    }


def _training_tags(
    client: "MlflowClient", experiment_id: str, run_id: str, weights_digest: str
) -> Mapping[str, str]:
    trained = client.search_runs(
        [experiment_id],
        f"tags.`{PARENT_TAG}` = '{run_id}' and tags.weights_digest = '{weights_digest}'",
        max_results=1,
    )
    tags = trained[0].data.tags if trained else {}
    return {key: value for key, value in tags.items() if key.startswith(PREFIX)}
