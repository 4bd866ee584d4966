"""Names and values of the tags by which runs and versions in MLflow are found and read."""

# MLflow's name for the run above a run.
PARENT = "mlflow.parentRunId"
# Kubeflow's id of the pipeline run; on the pipeline's run and on the versions that it registered.
PIPELINE_RUN = "pipeline_run_id"
# Name of the step that a run belongs to, or `PIPELINE` on the run of the whole pipeline.
STEP = "step"
PIPELINE = "pipeline"
# First error of a run, in one line.
ERROR = "error"
# On the pipeline's run: the kind of the notice that was sent of how it ended.
NOTIFIED = "notified"

# Outcome of a pipeline run, on the pipeline's run.
DATASET = "dataset"
DATA_DIGEST = "data_digest"
CANDIDATE = "candidate"
KEPT = "baseline_kept"
VERDICT = "verdict"
DECISION = "decision"
DECISION_REASONS = "decision_reasons"
MODEL_NAME = "model_name"
MODEL_VERSION = "model_version"
# On a version that has to be approved before it is champion, and on the run that registered it.
APPROVAL = "approval"
WAITING, APPROVED = "waiting", "approved"
# Champion that a version was compared with, or `NOBODY`.
COMPARED_WITH = "compared_with"
NOBODY = "none"

# On a registered version: SHA-256 of each of its files by path, id of the key that signed them, and a description of
# the images that it takes.
MODEL_FILES = "model_files"
SIGNING_KEY = "signing_key"
IMAGE_SIZE = "image_size"
WEIGHTS = "weights_digest"
CLASSES = "classes"

# Filters for MLflow's search.
IS_PIPELINE = f"tags.{STEP} = '{PIPELINE}'"


def below(run_id: str) -> str:
    """Return the filter for the runs directly below a run."""
    return f"tags.`{PARENT}` = '{run_id}'"
